#include "actors/migration/page_frame.hpp"

#include "kernels/page.hpp"

namespace novacron::migration {
namespace {

using kernels::load;

constexpr auto number_bits = 48u;
constexpr auto number_mask = (std::uint64_t{1} << number_bits) - 1;

/// Takes bytes off the front, and remembers if there were too few.
class taker {
public:
  explicit taker(std::span<const std::byte> bytes) : left_{bytes} {}

  template <class T>
  T take() {
    const auto part = take(sizeof(T));
    return good_ ? load<T>(part.data()) : T{};
  }
  std::span<const std::byte> take(std::size_t size) {
    if (left_.size() < size) {
      good_ = false;
      left_ = {};
      return {};
    }
    const auto part = left_.first(size);
    left_ = left_.subspan(size);
    return part;
  }
  bool good() const { return good_; }
  bool done() const { return left_.empty(); }

private:
  std::span<const std::byte> left_;
  bool good_ = true;
};

bool read_record(taker& from, const page_scope& scope, page_record& into) {
  const auto word = from.take<std::uint64_t>();
  const auto operation = static_cast<std::uint8_t>(word >> 56);
  if (operation > static_cast<std::uint8_t>(page_operation::block))
    return false;
  into = {.operation = static_cast<page_operation>(operation),
          .number = word & number_mask,
          .count = static_cast<std::uint32_t>(word >> number_bits & 0xFF) + 1};
  // A run lies in one range, so its ends say it all.
  const auto last = into.number + into.count - 1;
  if (!scope.holds(into.number) || !scope.holds(last) || into.number / range_pages != last / range_pages)
    return false;
  switch (into.operation) {
    case page_operation::fill: into.fill = from.take<std::uint8_t>(); break;
    case page_operation::reference:
      into.reference = from.take<std::uint64_t>();
      if (into.count != 1 || !scope.holds(into.reference) || into.reference == into.number)
        return false;
      break;
    case page_operation::delta:
      into.delta = from.take(from.take<std::uint16_t>());
      if (into.count != 1 || into.delta.empty())
        return false;
      break;
    default: break;
  }
  return from.good();
}

bool read_block(taker& from, block_record& into) {
  const auto coding = from.take<std::uint8_t>();
  into.page_count = from.take<std::uint8_t>();
  const auto unused = from.take<std::uint16_t>();
  const auto size = from.take<std::uint32_t>();
  into.bytes = from.take(size);
  into.coding = static_cast<block_coding>(coding);
  return from.good() && coding <= static_cast<std::uint8_t>(block_coding::zstd) && unused == 0 && into.page_count > 0 &&
         into.page_count <= block_pages_max;
}

template <class T>
void put(std::vector<std::byte>& out, T x) {
  const auto at = out.size();
  out.resize(at + sizeof x);
  kernels::store(out.data() + at, x);
}

void put(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

page_operation operation_of(const kernels::page_result& x) {
  switch (x.action) {
    case kernels::page_action::fill: return x.fill == 0 ? page_operation::zero : page_operation::fill;
    case kernels::page_action::same: return page_operation::same;
    case kernels::page_action::reference: return page_operation::reference;
    case kernels::page_action::delta: return page_operation::delta;
    default: return page_operation::block;
  }
}

/// How many results from `at` on go into one record.
std::uint32_t run_of(const std::vector<kernels::page_result>& all, std::size_t at) {
  const auto operation = operation_of(all[at]);
  if (operation == page_operation::reference || operation == page_operation::delta)
    return 1;
  auto count = std::uint32_t{1};
  for (; count < run_max && at + count < all.size(); ++count) {
    const auto& next = all[at + count];
    const auto number = all[at].number + count;
    if (next.number != number || number % range_pages == 0 || operation_of(next) != operation ||
        next.fill != all[at].fill)
      break;
  }
  return count;
}

} // namespace

bool read_pages(std::span<const std::byte> payload, std::uint32_t count, const page_scope& scope, page_frame& into) {
  into.pages.clear();
  into.blocks.clear();
  auto from = taker{payload};
  auto wanted = std::uint64_t{0};
  for (auto i = std::uint32_t{0}; i < count; ++i) {
    auto& record = into.pages.emplace_back();
    if (!read_record(from, scope, record))
      return false;
    wanted += record.operation == page_operation::block ? record.count : 0;
  }
  while (!from.done()) {
    auto& block = into.blocks.emplace_back();
    if (!read_block(from, block) || block.page_count > wanted)
      return false;
    wanted -= block.page_count;
  }
  return wanted == 0;
}

std::uint32_t write_pages(const kernels::parcel& x, std::vector<std::byte>& out) {
  const auto records = write_records(x, out);
  write_blocks(x, out);
  return records;
}

std::uint32_t write_records(const kernels::parcel& x, std::vector<std::byte>& out) {
  auto records = std::uint32_t{0};
  for (auto at = std::size_t{0}; at < x.pages.size(); ++records) {
    const auto& page = x.pages[at];
    const auto operation = operation_of(page);
    const auto count = run_of(x.pages, at);
    put(out, static_cast<std::uint64_t>(operation) << 56 | std::uint64_t{count - 1} << number_bits |
                 (page.number & number_mask));
    if (operation == page_operation::fill)
      put(out, page.fill);
    else if (operation == page_operation::reference)
      put(out, page.reference);
    else if (operation == page_operation::delta) {
      put(out, static_cast<std::uint16_t>(page.size));
      put(out, x.part(page.begin, page.size));
    }
    at += count;
  }
  return records;
}

void write_blocks(const kernels::parcel& x, std::vector<std::byte>& out) {
  for (const auto& block : x.blocks) {
    write_block_head(block.raw ? block_coding::raw : block_coding::lz4, block.page_count, block.size, out);
    put(out, x.part(block.begin, block.size));
  }
}

void write_block_head(block_coding coding, std::uint32_t page_count, std::uint32_t size, std::vector<std::byte>& out) {
  put(out, static_cast<std::uint8_t>(coding));
  put(out, static_cast<std::uint8_t>(page_count));
  put(out, std::uint16_t{0});
  put(out, size);
}

} // namespace novacron::migration
