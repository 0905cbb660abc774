// What GradientSync tells its trace, as a file for chrome://tracing or Perfetto.
#pragma once

#include <faro/gradient_sync.hpp>
#include <string>
#include <vector>

namespace train {

class Trace {
 public:
  void add(const faro::SyncEvent& event) { events_.push_back(event); }
  /// In the Trace Event Format: a process a rank; steps' waits and buckets' sums as durations.
  void write(const std::string& file, int rank) const;

 private:
  std::vector<faro::SyncEvent> events_;
};

}  // namespace train
