#!/bin/sh
# Writes a source file that holds the program $1 between two symbols, novacron_$3_begin and _end, into $2.
set -eu
program=$(realpath "$1")
cat >"$2" <<END
// The $3, $(cksum <"$program"): changes with it, so that this file is compiled again.
asm(".section .rodata\n"
    ".global novacron_$3_begin\n"
    ".global novacron_$3_end\n"
    ".balign 16\n"
    "novacron_$3_begin:\n"
    ".incbin \"$program\"\n"
    "novacron_$3_end:\n"
    ".byte 0\n"
    ".previous\n");
END
