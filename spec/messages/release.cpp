// Prints the language as it is, for messages/released/. Run it when a version is released, never to silence the spec:
//   build/spec/messages/release > messages/released/v1.txt

#include "spec/messages/released.hpp"

#include <cstdio>

int main() {
  for (const auto& line : novacron::spec::present_language())
    std::puts(line.c_str());
}
