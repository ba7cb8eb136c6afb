#!/usr/bin/env python3
# Has nvcc make machine code for sm_80 and sm_90, and PTX of which the driver makes that of newer devices; and makes a
# source file of it: embed.py NVCC ROOT OUT [DEPFILE]
import os
import subprocess
import sys
import tempfile

nvcc, root, out = sys.argv[1:4]
command = [nvcc, "-fatbin", "-std=c++20", "-O3", "--expt-relaxed-constexpr", "-I" + root]
command += ["-gencode", "arch=compute_80,code=sm_80", "-gencode", "arch=compute_90,code=[sm_90,compute_90]"]
if len(sys.argv) > 4:
    command += ["-MD", "-MF", sys.argv[4], "-MT", out]
with tempfile.TemporaryDirectory() as folder:
    image = os.path.join(folder, "image.fatbin")
    subprocess.run([*command, "-o", image, os.path.join(root, "kernels/device/kernels.cu")], check=True)
    with open(image, "rb") as file:
        content = file.read()
lines = (",".join(map(str, content[at : at + 64])) + "," for at in range(0, len(content), 64))
with open(out, "w") as file:
    file.write('#include "kernels/device/engine.hpp"\n\nnamespace novacron::kernels::device {\nnamespace {\n\n')
    file.write("alignas(64) constexpr unsigned char image[] = {\n" + "\n".join(lines) + "\n};\n\n} // namespace\n\n")
    file.write("const void* device_image() {\n  return image;\n}\n\n} // namespace novacron::kernels::device\n")
