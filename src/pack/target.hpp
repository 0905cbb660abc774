// Where shards go: a directory, or a prefix of an object store. What is written there appears with
// commit(), or not at all.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace faro::pack {

/// Called now and then while work goes on; ends it by throwing.
using Checkpoint = std::function<void()>;

/// A file or an object that is being written, without being seen yet.
class Output {
 public:
  virtual ~Output() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// There is no more to write.
  virtual void finish() = 0;
};

/// One rank's view of the place. Its destruction takes away what it has not committed. Errors name
/// the path: io (with what to do where a disk is full), access_denied, not_found, and what a store
/// may answer.
class Target {
 public:
  virtual ~Target() = default;
  /// Makes a directory if there is none. The names there, of all that begin with `prefix` at least.
  [[nodiscard]] virtual std::vector<std::string> names(const std::string& prefix) = 0;
  /// What `name` is called in messages, and as DATA.
  [[nodiscard]] virtual std::string path(const std::string& name) const = 0;
  /// The target must outlive its outputs.
  [[nodiscard]] virtual std::unique_ptr<Output> create(const std::string& name) = 0;
  /// Waits until all that is finished is stored for good.
  virtual void flush() = 0;
  /// Gives all that is finished and flushed its name, over whatever is there.
  virtual void commit() = 0;
};

/// A directory, also as file:// URI.
[[nodiscard]] std::unique_ptr<Target> open_directory(const std::string& path);
/// s3://bucket or s3://bucket/prefix.
[[nodiscard]] std::unique_ptr<Target> open_objects(const std::string& uri,
                                                   const store::Options& options,
                                                   Checkpoint checkpoint);
/// What `output` names. Error(invalid_argument) where nothing can be written there.
[[nodiscard]] std::unique_ptr<Target> open_target(const std::string& output,
                                                  const store::Options& options,
                                                  Checkpoint checkpoint);

/// A line on stderr where the store has not confirmed that `uploads` are gone: their parts are
/// unseen, but paid for.
void warn_of_uploads(std::size_t uploads, const std::string& uri);

}  // namespace faro::pack
