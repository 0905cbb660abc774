#include "trace.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

namespace train {

void Trace::write(const std::string& file, int rank) const {
  auto events = nlohmann::json::array();
  for (const auto& event : events_) {
    using What = faro::SyncEvent::What;
    const bool bucket = event.what == What::bucket_start || event.what == What::bucket_end;
    const bool wait = event.what == What::wait_begin || event.what == What::wait_end;
    const bool begins = event.what == What::bucket_start || event.what == What::wait_begin;
    const auto index = std::to_string(event.index);
    events.push_back({{"name", bucket ? "bucket " + index
                               : wait ? "wait"
                                      : "ready " + index},
                      {"ph", !bucket && !wait ? "i"
                             : begins         ? "B"
                                              : "E"},
                      {"ts", event.seconds * 1e6},
                      {"pid", rank},
                      {"tid", bucket ? "bucket " + index : "calls"},
                      {"args", {{"step", event.step}}}});
  }
  std::ofstream out(file);
  out << nlohmann::json{{"traceEvents", events}}.dump() << '\n';
  if (!out.flush()) throw faro::Error(faro::ErrorCode::io, file + " cannot be written");
}

}  // namespace train
