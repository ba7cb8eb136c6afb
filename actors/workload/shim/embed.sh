#!/bin/sh
# Writes a source file that holds the program $1 between two symbols into $2.
set -eu
program=$(realpath "$1")
cat >"$2" <<END
// The shim, $(cksum <"$program"): changes with it, so that this file is compiled again.
asm(".section .rodata\n"
    ".global novacron_shim_begin\n"
    ".global novacron_shim_end\n"
    ".balign 16\n"
    "novacron_shim_begin:\n"
    ".incbin \"$program\"\n"
    "novacron_shim_end:\n"
    ".byte 0\n"
    ".previous\n");
END
