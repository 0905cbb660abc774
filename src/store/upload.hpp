// Interface of store/ for writing: objects of s3://, in parts, which appear whole or not at all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace faro::store {

/// The URIs of the objects right under a prefix, sorted: those that begin with `prefix`
/// ("s3://bucket/train/shard-") and have no '/' after it. None where there is none. Errors: all
/// that a request may end in; not_found where there is no such bucket.
[[nodiscard]] std::vector<std::string> list_objects(const std::string& prefix,
                                                    const Options& options);

/// What S3 allows: an object's bytes and parts, and the least bytes of a part that is not the last.
inline constexpr std::uint64_t largest_object = std::uint64_t{5} << 40;
inline constexpr std::uint64_t most_parts = 10'000;
inline constexpr std::uint64_t usual_part = std::uint64_t{8} << 20;

/// Bytes of each part but the last of an object of `size` bytes: 8 MiB, or as many MiB as make
/// 10,000 parts enough. Error(invalid_argument) for an object larger than S3 takes, naming `uri`.
[[nodiscard]] std::uint64_t part_size_for(std::uint64_t size, const std::string& uri);

/// Bytes of part `number` (from 1) of an object whose size is not known yet: 8 MiB, twice as many
/// after every 1,000 parts, so that 10,000 of them hold more than the largest object.
[[nodiscard]] std::uint64_t part_size_at(std::uint64_t number) noexcept;

/// An object that has been begun. The store keeps its parts until it is committed or aborted.
struct Upload {
  std::string uri;
  std::string id;  ///< the store's; whoever knows it may send parts
};

/// A part on its way to the store, or there.
struct Part {
  std::uint64_t object = 0;  ///< the caller's number of the object
  std::uint64_t number = 0;  ///< from 1
  std::uint64_t bytes = 0;
  std::string etag;  ///< once it is there
};

/// An upload of which all parts are there.
struct Finished {
  Upload upload;
  std::vector<std::string> etags;  ///< of parts 1 to n; empty: an object without bytes
  std::uint64_t size = 0;
};

/// Uploads of one rank: several parts in flight over one Client, which signs a SHA-256 of each that
/// the store checks. What was begun here and not committed is aborted in the end.
/// Memory: the parts in flight, 64 MiB, or one part where it is larger. One thread uses it.
class Uploader {
 public:
  /// Called now and then while parts are waited for; ends the wait by throwing.
  using Checkpoint = std::function<void()>;

  explicit Uploader(const Options& options, Checkpoint checkpoint = {});
  /// abort()
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  /// Begins one upload for each URI (CreateMultipartUpload).
  [[nodiscard]] std::vector<Upload> begin(const std::vector<std::string>& uris);
  /// Sends `bytes` as a part. Waits while there is no room. Throws the error of any part.
  void send(const Upload& upload, Part part, std::vector<std::byte> bytes);
  /// Sends part.bytes bytes at `offset` of another object or file as a part; `expect` is what that
  /// must still be.
  void copy(const Upload& upload, Part part, const std::string& from, std::uint64_t offset,
            const ObjectInfo& expect);
  /// The parts that are there since the last call. With `all` it waits for every one.
  [[nodiscard]] std::vector<Part> stored(bool all);
  /// Makes objects visible, all at the same time; returns when the store has told that each is
  /// there with its size. An answer that was lost is found out.
  void commit(const std::vector<Finished>& objects);
  /// Sizes and ETags of objects or files.
  [[nodiscard]] std::vector<ObjectInfo> stat(const std::vector<std::string>& uris);

  /// Breaks off the parts in flight, so that none arrives after an abort.
  void cancel() noexcept;
  /// Aborts what has been begun here and is not committed; within seconds, even if the store does
  /// not answer. Returns how many the store has not confirmed: their parts stay in it, unseen.
  std::size_t abort() noexcept;

  [[nodiscard]] const Counters& counters() const noexcept { return client_->counters(); }

 private:
  struct Flight {
    Upload upload;
    Part part;
    std::vector<std::byte> bytes;
    bool reading = false;
  };

  void make_room(std::uint64_t bytes);
  std::uint64_t add(Flight flight);
  void put(std::uint64_t id, const Flight& flight);
  void pump(std::chrono::milliseconds timeout);
  void take(Completion completion);
  void take_part(Flight& flight, Completion& completion);
  [[nodiscard]] std::vector<Completion> answers(std::uint64_t first);
  [[nodiscard]] std::vector<Completion> call_all(std::vector<Call> calls);
  [[nodiscard]] std::vector<Finished> complete(const std::vector<Finished>& objects,
                                               std::optional<Error>& error);
  [[nodiscard]] bool is_there(const Finished& object);
  [[nodiscard]] std::size_t abort_once(const std::vector<Upload>& uploads);

  const Options options_;
  Checkpoint checkpoint_;
  std::unique_ptr<Client> client_;
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, Flight> flights_;      // by the request's id
  std::map<std::uint64_t, Completion> answers_;  // to what is no part
  std::uint64_t in_flight_ = 0;                  // bytes
  std::vector<Part> stored_;
  std::optional<Error> error_;          // of the first part that failed
  std::vector<std::byte> spare_;        // memory of a part that is there, for the next
  std::map<std::string, Upload> open_;  // by upload id and URI: what abort() is for
  bool cut_off_ = false;                // parts may have been on their way when they were cancelled
};

}  // namespace faro::store
