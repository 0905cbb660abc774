// What may go wrong in a simulated run, and how often it has.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/transport.hpp"

namespace faro::sim {

/// Of the store. Times are seconds from the beginning.
struct StoreFaults {
  double latency = 1e-3;
  double bandwidth = 1e9;    // bytes/s of a request
  double slow = 0;           // chance of a request that takes 20 to 200 times as long
  double fail = 0;           // chance of one that fails in a way that is retried
  double wrong = 0;          // chance of one whose bytes are not the object's
  unsigned most_wrong = 8;   // of those: fewer than the times a block is tried
  double outage_from = 1e9;  // nothing is answered
  double outage_until = 1e9;
  std::optional<store::Cause> refusal;  // of all requests for one shard
  double refusal_from = 0;
  std::uint32_t refused = 0;  // that shard
  bool rotten = false;        // a byte of that shard is not what was indexed
};

/// What ends a run before its end.
enum class Ending {
  none,
  refusal,      // the store refuses a shard, or has another one
  rotten,       // a shard's bytes are wrong for good
  outage,       // the store is silent for good
  leaves,       // a consumer breaks out of an epoch
  throws,       // a consumer throws
  overholds,    // a consumer holds a batch for too long
  mpi,          // calls of the layer below fail
  freezes,      // a rank does nothing for longer than its peers wait
  dies,         // a rank does nothing any more, until all others have ended
  falls_silent  // a consumer pauses for longer than its peers wait
};

inline constexpr std::array ending_names = {"none",    "refusal", "rotten",      "outage",
                                            "leaves",  "throws",  "overholds",   "mpi",
                                            "freezes", "dies",    "falls silent"};

/// A guarantee that is broken on purpose, to see that it is noticed.
enum class Broken {
  none,
  lost,       // a sample is not delivered
  duplicate,  // a sample is delivered twice
  order,      // two samples of a rank are exchanged
  byte,       // a byte changes in the arena after it was checked
  message,    // a byte changes between nodes
  reread,     // a byte is read twice
  steps,      // a rank ends an epoch a step early
  untold,     // a rank is not told of another's error
  thread,     // a thread is left
};
inline const std::map<std::string, Broken> broken_names = {
    {"none", Broken::none},     {"lost", Broken::lost},   {"duplicate", Broken::duplicate},
    {"order", Broken::order},   {"byte", Broken::byte},   {"message", Broken::message},
    {"reread", Broken::reread}, {"steps", Broken::steps}, {"untold", Broken::untold},
    {"thread", Broken::thread},
};

/// How often each kind of fault has occurred, by name.
using Counts = std::map<std::string, std::uint64_t>;

}  // namespace faro::sim
