#include "exchange/agreement.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace faro::exchange {
namespace {

// What a rank says, beside its number where it has failed, or ranks + its number where it leaves;
// the least wins, so an error goes before a leave, and both before all others.
constexpr std::uint64_t all_well = UINT64_MAX;
constexpr std::uint64_t one_is_busy = UINT64_MAX - 1;

// An error is its code and at most that many bytes of text, as words.
constexpr std::size_t text_bytes = 4096;

}  // namespace

void Agreement::start(Standing mine, const std::optional<Error>& failure,
                      std::uint64_t missed_from) {
  failure_ = failure;
  failed_ = -1;
  const auto rank = static_cast<std::uint64_t>(comm_.rank());
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  std::uint64_t said = all_well;
  switch (mine) {
    case Standing::ready: break;
    case Standing::busy: said = one_is_busy; break;
    case Standing::failed: said = rank; break;
    case Standing::leaving: said = ranks + rank; break;
  }
  // Of the marks the highest is wanted.
  words_ = {said, pressure_ ? ~pressure_->mark() : 0, missed_from};
  operation_ = comm_.start_all_reduce(words_, comm::Op::min);
}

std::optional<Agreement::Verdict> Agreement::poll() {
  if (!operation_->done()) return std::nullopt;
  operation_.reset();
  if (failed_ < 0) return judge();
  std::string text(text_bytes, '\0');
  std::memcpy(text.data(), words_.data() + 1, text_bytes);
  text.resize(std::min(text.find('\0'), text.size()));
  return Verdict{Verdict::Kind::end, Error(static_cast<ErrorCode>(words_[0]), text, failed_), -1,
                 missed_from_};
}

std::optional<Agreement::Verdict> Agreement::judge() {
  if (pressure_) pressure_->raise_to(~words_[1]);
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  const auto least = words_[0];
  if (least == all_well) return Verdict{};
  if (least == one_is_busy) return Verdict{Verdict::Kind::again, std::nullopt, -1};
  if (least >= ranks) {
    return Verdict{Verdict::Kind::end, std::nullopt, static_cast<int>(least - ranks), words_[2]};
  }
  missed_from_ = words_[2];
  tell(static_cast<int>(least));
  return std::nullopt;
}

// A sum to which the others add nothing: unlike a broadcast it can be left behind where the rank
// that should speak does so no more.
void Agreement::tell(int failed) {
  failed_ = failed;
  words_.assign(1 + text_bytes / sizeof(std::uint64_t), 0);
  if (failed == comm_.rank() && failure_) {
    words_[0] = static_cast<std::uint64_t>(failure_->code());
    const std::string text = failure_->what();
    std::memcpy(words_.data() + 1, text.data(), std::min(text.size(), text_bytes));
  }
  operation_ = comm_.start_all_reduce(words_, comm::Op::sum);
}

void Agreement::abandon() {
  static_cast<void>(new std::vector<std::uint64_t>(std::move(words_)));
  static_cast<void>(operation_.release());
}

}  // namespace faro::exchange
