// Runs a fuzz target over the files of its corpus, without a fuzzer.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments) {
  auto played = 0;
  for (auto i = 1; i < count; ++i)
    for (const auto& entry : std::filesystem::directory_iterator{arguments[i]}) {
      auto file = std::ifstream{entry.path(), std::ios::binary};
      const auto bytes = std::string{std::istreambuf_iterator<char>{file}, {}};
      std::printf("%s\n", entry.path().filename().c_str());
      std::fflush(stdout);
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      ++played;
    }
  return played > 0 ? 0 : 1;
}
