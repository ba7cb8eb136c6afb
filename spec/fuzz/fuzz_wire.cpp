// What arrives on a wire or over HTTP as a message: any bytes, as Protobuf and as JSON, for every message there is.

#include "messages/language.hpp"

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

using google::protobuf::Message;
namespace io = google::protobuf::io;

std::string bytes_of(const Message& x) {
  auto bytes = std::string{};
  {
    auto stream = io::StringOutputStream{&bytes};
    auto coded = io::CodedOutputStream{&stream};
    coded.SetSerializationDeterministic(true);
    x.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::unique_ptr<Message> blank(const std::string& name) {
  const auto* type = novacron::find_message(name);
  return std::unique_ptr<Message>{google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New()};
}

void must(bool holds) {
  if (!holds)
    std::abort();
}

// Whatever was accepted is kept by JSON: the same message comes back.
void goes_round(const std::string& name, const Message& x) {
  auto again = blank(name);
  must(novacron::from_json(novacron::to_json(x), *again).empty());
  must(bytes_of(x) == bytes_of(*again));
}

} // namespace

/// The first byte chooses the message and, by its highest bit, the form; the rest is the input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto names = novacron::message_names();
  if (size == 0)
    return 0;
  const auto& name = names[(data[0] & 127u) % names.size()];
  const auto input = std::string{reinterpret_cast<const char*>(data + 1), size - 1};
  auto x = blank(name);
  if ((data[0] & 128u) != 0) {
    if (novacron::from_json(input, *x).empty())
      goes_round(name, *x);
  } else if (x->ParseFromString(input)) {
    x->DiscardUnknownFields();
    goes_round(name, *x);
  }
  return 0;
}
