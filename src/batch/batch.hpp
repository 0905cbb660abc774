// Interface of batch/: from the pieces that the exchange delivers to what the consumer reads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exchange/exchange.hpp"
#include "faro/batch.hpp"
#include "format/format.hpp"

namespace faro {

struct Batch::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  std::uint64_t epoch = 0;
  exchange::LocalBatch local;
  std::vector<Field> fields;                        ///< of all samples, one after the other
  std::vector<std::unique_ptr<std::string>> texts;  ///< that keys and names view
  std::vector<Sample> samples;
  std::function<void()> release;  ///< called once the batch's memory is not looked at any more
};

}  // namespace faro

namespace faro::batch {

/// Finds keys and fields of a local batch's samples; their bytes stay where they are.
/// \param epoch number of the epoch
/// \param release called when the batch is destroyed
[[nodiscard]] Batch make(exchange::LocalBatch local, std::uint64_t epoch,
                         const format::Format& format, std::function<void()> release);

}  // namespace faro::batch
