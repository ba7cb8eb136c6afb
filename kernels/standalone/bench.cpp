// The kernels' figures, of the processor and of a device where there is one. Prints JSON.
//   kernels_bench [ROUNDS] [PAGES] [BATCH_PAGES] [LINES] [STREAMS]

#include "kernels/bench.hpp"
#include "kernels/device/bench.hpp"
#include "kernels/path.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

using namespace novacron::kernels;

void print(const std::vector<bench_figure>& figures, const char*& separator) {
  for (const auto& x : figures) {
    std::printf(R"(%s"%s": {"value": %.6g, "unit": "%s")", separator, x.name.c_str(), x.value, x.unit.c_str());
    if (!x.peer.empty() && x.peer_value > 0)
      std::printf(R"(, "peer": "%s", "peer_value": %.6g, "ratio": %.4g)", x.peer.c_str(), x.peer_value,
                  x.value / x.peer_value);
    std::printf("}");
    separator = ", ";
  }
}

} // namespace

int main(int count, char** arguments) {
  const auto number = [&](int at, unsigned long long otherwise) {
    return count > at ? std::strtoull(arguments[at], nullptr, 10) : otherwise;
  };
  const auto rounds = static_cast<unsigned>(number(1, 9));
  try {
    auto why = std::string{};
    const auto by = device::find_engine(why);
    std::printf(R"({"bench": "kernels", "processor": "%s", "device": "%s", "figures": {)",
                std::string{name(best_path())}.c_str(), by ? by->name().c_str() : why.c_str());
    const auto* separator = "";
    print(bench_cpu({.rounds = rounds}, {}), separator);
    if (by)
      print(device::bench_device(by, {.rounds = rounds,
                                      .page_count = number(2, 262144),
                                      .codec = {.batch_pages = number(3, 8192), .line_count = number(4, 4)},
                                      .stream_count = std::max(number(5, 8), 1ull)}),
            separator);
    std::printf("}}\n");
  } catch (const std::exception& x) {
    std::printf("}, \"error\": \"%s\"}\n", x.what());
    return 1;
  }
}
