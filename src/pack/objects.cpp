// Shards as objects of s3://: parts are sent while the shard is written; nothing lies on a disk.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "pack/target.hpp"
#include "store/upload.hpp"
#include "store/uri.hpp"

namespace faro::pack {
namespace {

/// Cuts what is written into parts. Even a small shard is one: it is in the store before the
/// commit, which then has little left that can fail, and no memory holds it until then.
class Object final : public Output {
 public:
  Object(store::Uploader& uploader, std::vector<store::Finished>& objects, store::Upload upload)
      : uploader_(uploader),
        objects_(objects),
        upload_(std::move(upload)),
        number_(objects.size()) {
    objects_.push_back({upload_, {}, 0});
  }

  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto size = store::part_size_at(parts_ + 1);
      if (buffer_.empty()) buffer_.reserve(size);
      const auto some = bytes.first(std::min<std::uint64_t>(bytes.size(), size - buffer_.size()));
      buffer_.insert(buffer_.end(), some.begin(), some.end());
      bytes = bytes.subspan(some.size());
      if (buffer_.size() == size) send();
    }
  }

  void finish() override {
    if (!buffer_.empty()) send();
  }

 private:
  void send() {
    auto& object = objects_[number_];
    object.size += buffer_.size();
    check(object.size <= store::largest_object, ErrorCode::invalid_argument,
          "{} grows beyond what an object of S3 can have ({} bytes); use smaller shards",
          upload_.uri, store::largest_object);
    object.etags.resize(++parts_);
    uploader_.send(upload_, {number_, parts_, 0, {}}, std::exchange(buffer_, {}));
  }

  store::Uploader& uploader_;
  std::vector<store::Finished>& objects_;
  store::Upload upload_;
  std::uint64_t number_;  // of the object
  std::uint64_t parts_ = 0;
  std::vector<std::byte> buffer_;
};

class Objects final : public Target {
 public:
  Objects(std::string uri, const store::Options& options, Checkpoint checkpoint)
      : uri_(std::move(uri)), options_(options), uploader_(options, std::move(checkpoint)) {}
  ~Objects() override { warn_of_uploads(uploader_.abort(), uri_); }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  std::vector<std::string> names(const std::string& prefix) override {
    std::vector<std::string> found;
    for (const auto& uri : store::list_objects(path(prefix), options_)) {
      found.push_back(uri.substr(uri_.size() + 1));
    }
    return found;
  }

  [[nodiscard]] std::string path(const std::string& name) const override {
    return uri_ + '/' + name;
  }

  std::unique_ptr<Output> create(const std::string& name) override {
    return std::make_unique<Object>(uploader_, objects_, uploader_.begin({path(name)}).front());
  }

  void flush() override {
    for (auto& part : uploader_.stored(true)) {
      objects_[part.object].etags[part.number - 1] = std::move(part.etag);
    }
  }

  void commit() override { uploader_.commit(objects_); }

 private:
  std::string uri_;  // without a '/' at its end
  const store::Options options_;
  store::Uploader uploader_;
  std::vector<store::Finished> objects_;
};

}  // namespace

std::unique_ptr<Target> open_objects(const std::string& uri, const store::Options& options,
                                     Checkpoint checkpoint) {
  auto place = uri.substr(0, uri.find_last_not_of('/') + 1);
  check(place.size() > std::string_view("s3://").size(), ErrorCode::invalid_argument,
        "'{}' names no bucket: s3://BUCKET/PREFIX", store::redacted(uri));
  return std::make_unique<Objects>(std::move(place), options, std::move(checkpoint));
}

std::unique_ptr<Target> open_target(const std::string& output, const store::Options& options,
                                    Checkpoint checkpoint) {
  switch (store::scheme_of(output)) {
    case store::Scheme::file: return open_directory(store::file_path(output));
    case store::Scheme::s3: return open_objects(output, options, std::move(checkpoint));
    case store::Scheme::http:
    case store::Scheme::other: break;
  }
  fail(ErrorCode::invalid_argument,
       "nothing can be written to {}: give a directory or s3://BUCKET/PREFIX",
       store::redacted(output));
}

void warn_of_uploads(std::size_t uploads, const std::string& uri) {
  if (uploads == 0) return;
  fmt::print(stderr,
             "faro: warning: {} uploads under {} could not be aborted; their parts are unseen, and "
             "stay until they are aborted by hand or by a lifecycle rule of the bucket\n",
             uploads, store::redacted(uri));
}

}  // namespace faro::pack
