#include "store/upload.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/error.hpp"
#include "store/s3/xml.hpp"

namespace faro::store {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t room = std::uint64_t{64} << 20;  // bytes in flight
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t parts_a_doubling = 1'000;
// Signals are looked for this often.
constexpr milliseconds step(50);

std::string key_of(const Upload& upload) {
  return upload.id + '\n' + upload.uri;
}

Call call_of(Call::Method method, const Upload& upload) {
  Call call;
  call.method = method;
  call.uri = upload.uri;
  if (!upload.id.empty()) call.query = {{"uploadId", upload.id}};
  return call;
}

/// What S3 and Ceph make the ETag of: the parts' MD5s' MD5, and how many there are. Nothing where
/// the parts' ETags are no MD5s, as with keys of the customer's own.
std::optional<std::string> etag_of(const std::vector<std::string>& etags) {
  std::vector<unsigned char> digests;
  for (std::string_view etag : etags) {
    if (etag.size() == 34) etag = etag.substr(1, 32);
    if (etag.size() != 32) return std::nullopt;
    for (std::size_t i = 0; i < etag.size(); i += 2) {
      const auto hex = [](char c) {
        constexpr std::string_view digits = "0123456789abcdef";
        return digits.find(c);
      };
      const auto high = hex(etag[i]);
      const auto low = hex(etag[i + 1]);
      if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
      digests.push_back(static_cast<unsigned char>(high << 4 | low));
    }
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> md5{};
  unsigned size = 0;
  // A system that forbids MD5 has none.
  if (EVP_Digest(digests.data(), digests.size(), md5.data(), &size, EVP_md5(), nullptr) != 1) {
    return std::nullopt;
  }
  return fmt::format("\"{:02x}-{}\"", fmt::join(md5.begin(), md5.begin() + size, ""), etags.size());
}

/// For requests that clean up: what does not answer soon is left.
Options impatient(Options options) {
  options.attempts = std::min(options.attempts, 3U);
  options.backoff = std::min(options.backoff, 0.1);
  options.stall_timeout = std::min(options.stall_timeout, 3.0);
  options.connect_timeout = std::min(options.connect_timeout, 3.0);
  options.request_deadline = std::min(options.request_deadline, 5.0);
  options.outage_deadline = std::min(options.outage_deadline, 3.0);
  return options;
}

}  // namespace

std::uint64_t part_size_for(std::uint64_t size, const std::string& uri) {
  check(size <= largest_object, ErrorCode::invalid_argument,
        "{} has {} bytes, more than an object of S3 can have ({}); split it", redacted(uri), size,
        largest_object);
  return std::max(usual_part, align_up((size + most_parts - 1) / most_parts, mebibyte));
}

std::uint64_t part_size_at(std::uint64_t number) noexcept {
  return usual_part << ((number - 1) / parts_a_doubling);
}

Uploader::Uploader(const Options& options, Checkpoint checkpoint)
    : options_(options),
      checkpoint_(std::move(checkpoint)),
      client_(std::make_unique<Client>(options)) {}

Uploader::~Uploader() {
  abort();
}

std::vector<Upload> Uploader::begin(const std::vector<std::string>& uris) {
  std::vector<Call> calls;
  for (const auto& uri : uris) {
    auto& call = calls.emplace_back(call_of(Call::Method::post, {uri, ""}));
    call.query = {{"uploads", ""}};
  }
  auto done = call_all(std::move(calls));
  std::vector<Upload> uploads;
  std::optional<Error> error;
  // All that the store has begun is kept in mind, even where another could not be.
  for (std::size_t i = 0; i < done.size(); ++i) try {
      if (done[i].error) throw *done[i].error;
      uploads.push_back({uris[i], s3::parse_upload_id(done[i].text)});
      open_.emplace(key_of(uploads.back()), uploads.back());
    } catch (const Error& one) {
      if (!error) error = one;
    }
  if (error) throw *error;
  return uploads;
}

void Uploader::send(const Upload& upload, Part part, std::vector<std::byte> bytes) {
  part.bytes = bytes.size();
  make_room(part.bytes);
  const auto id = add({upload, std::move(part), std::move(bytes)});
  put(id, flights_.at(id));
  pump(milliseconds(0));
}

void Uploader::copy(const Upload& upload, Part part, const std::string& from, std::uint64_t offset,
                    const ObjectInfo& expect) {
  make_room(part.bytes);
  std::vector<std::byte> bytes = std::move(spare_);
  spare_.clear();
  bytes.resize(part.bytes);
  const auto id = add({upload, std::move(part), std::move(bytes), true});
  auto& flight = flights_.at(id);
  client_->read({id, from, {offset, flight.part.bytes}, flight.bytes.data(), expect});
  pump(milliseconds(0));
}

std::vector<Part> Uploader::stored(bool all) {
  while (all && !flights_.empty() && !error_) pump(step);
  if (error_) throw *error_;
  return std::exchange(stored_, {});
}

void Uploader::make_room(std::uint64_t bytes) {
  while (in_flight_ > 0 && in_flight_ + bytes > room && !error_) pump(step);
  if (error_) throw *error_;
}

std::uint64_t Uploader::add(Flight flight) {
  in_flight_ += flight.part.bytes;
  flights_.emplace(next_id_, std::move(flight));
  return next_id_++;
}

void Uploader::put(std::uint64_t id, const Flight& flight) {
  Call call = call_of(Call::Method::put, flight.upload);
  call.query.emplace_back("partNumber", std::to_string(flight.part.number));
  call.body = flight.bytes;
  client_->call(id, std::move(call));
}

void Uploader::pump(milliseconds timeout) {
  std::vector<Completion> done;
  client_->poll(done, timeout);
  for (auto& completion : done) take(std::move(completion));
  if (checkpoint_) checkpoint_();
}

void Uploader::take(Completion completion) {
  const auto found = flights_.find(completion.id);
  if (found == flights_.end()) {
    answers_.emplace(completion.id, std::move(completion));
    return;
  }
  Flight& flight = found->second;
  if (flight.reading && !completion.error) {
    flight.reading = false;
    put(completion.id, flight);
    return;
  }
  take_part(flight, completion);
  in_flight_ -= flight.part.bytes;
  flights_.erase(found);
}

void Uploader::take_part(Flight& flight, Completion& completion) {
  if (!completion.error && completion.info.etag.empty()) {
    completion.error.emplace(
        ErrorCode::network,
        fmt::format("writing {}: the store took part {} without telling its ETag",
                    redacted(flight.upload.uri), flight.part.number));
  }
  if (completion.error) {
    if (!error_) error_ = std::move(completion.error);
    return;
  }
  flight.part.etag = std::move(completion.info.etag);
  stored_.push_back(flight.part);
  spare_ = std::move(flight.bytes);
}

/// The answers to all requests from `first` on, in order. No signal ends this wait: what has been
/// begun must be known, to be aborted.
std::vector<Completion> Uploader::answers(std::uint64_t first) {
  const std::size_t count = next_id_ - first;
  while (answers_.size() < count) {
    std::vector<Completion> done;
    client_->poll(done, step);
    for (auto& completion : done) take(std::move(completion));
  }
  std::vector<Completion> out;
  for (auto& [id, completion] : std::exchange(answers_, {})) out.push_back(std::move(completion));
  return out;
}

std::vector<Completion> Uploader::call_all(std::vector<Call> calls) {
  const auto first = next_id_;
  for (auto& call : calls) client_->call(next_id_++, std::move(call));
  return answers(first);
}

std::vector<ObjectInfo> Uploader::stat(const std::vector<std::string>& uris) {
  const auto first = next_id_;
  for (const auto& uri : uris) client_->stat(next_id_++, uri);
  std::vector<ObjectInfo> out;
  for (auto& done : answers(first)) {
    if (done.error) throw *done.error;
    out.push_back(std::move(done.info));
  }
  return out;
}

void Uploader::commit(const std::vector<Finished>& objects) {
  check(flights_.empty(), ErrorCode::internal, "{} parts are still on their way", flights_.size());
  std::optional<Error> error;
  auto left = complete(objects, error);
  for (unsigned tries = 1; !left.empty() && tries < options_.attempts; ++tries) {
    std::this_thread::sleep_for(milliseconds(50 << std::min(tries, 6U)));
    left = complete(left, error);
  }
  if (error) throw *error;
  if (!left.empty()) {
    fail(ErrorCode::network, "writing {}: the store fails to put its parts together, {} times",
         redacted(left.front().upload.uri), options_.attempts);
  }

  std::vector<std::string> uris;
  for (const auto& object : objects) uris.push_back(object.upload.uri);
  const auto infos = stat(uris);
  for (std::size_t i = 0; i < infos.size(); ++i) {
    check(infos[i].size == objects[i].size, ErrorCode::corrupt,
          "{} has {} bytes in the store, but {} were written: something else writes there, too",
          redacted(uris[i]), infos[i].size, objects[i].size);
  }
}

/// Returns those that are worth another try. S3 may begin to answer 200 and end with an error.
std::vector<Finished> Uploader::complete(const std::vector<Finished>& objects,
                                         std::optional<Error>& error) {
  std::vector<std::string> bodies(objects.size());  // until the answers are there
  std::vector<Call> calls;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto& [upload, etags, size] = objects[i];
    const bool empty = etags.empty();
    calls.push_back(call_of(empty ? Call::Method::put : Call::Method::post, upload));
    if (empty) {
      calls.back().query.clear();  // the object itself; abort() takes its upload away
      continue;
    }
    bodies[i] = s3::completion(etags);
    calls.back().body = std::as_bytes(std::span(bodies[i]));
  }
  const auto done = call_all(std::move(calls));
  std::vector<Finished> left;
  for (std::size_t i = 0; i < done.size(); ++i) try {
      const auto& object = objects[i];
      if (object.etags.empty() && !done[i].error) continue;
      const bool lost = done[i].error && done[i].error->code() == ErrorCode::not_found;
      if (done[i].error && !(lost && is_there(object))) throw *done[i].error;
      if (done[i].error || s3::is_completed(done[i].text)) {
        open_.erase(key_of(object.upload));
        continue;
      }
      const auto answer = s3::parse_error(done[i].text);
      check(answer.code == "InternalError" || answer.code == "SlowDown" ||
                answer.code == "ServiceUnavailable" || answer.code.empty(),
            ErrorCode::network, "writing {}: the store cannot put its parts together: {}: {}",
            redacted(object.upload.uri), answer.code, answer.message);
      left.push_back(object);
    } catch (const Error& one) {
      if (!error) error = one;
    }
  return left;
}

/// Whether an upload that the store does not know (any more) is the object that stands there: the
/// answer to an earlier try may have been lost.
bool Uploader::is_there(const Finished& object) {
  const auto first = next_id_;
  client_->stat(next_id_++, object.upload.uri);
  const auto done = answers(first);
  const auto& info = done.front().info;
  if (done.front().error || info.size != object.size) return false;
  const auto etag = etag_of(object.etags);
  return etag ? info.etag == *etag : info.etag.ends_with(fmt::format("-{}\"", object.etags.size()));
}

void Uploader::cancel() noexcept try {
  cut_off_ = cut_off_ || !flights_.empty();
  client_.reset();  // before the memory of what it sends
  flights_.clear();
  answers_.clear();
  in_flight_ = 0;
  client_ = std::make_unique<Client>(impatient(options_));
} catch (...) {  // abort() finds no client
}

std::size_t Uploader::abort() noexcept try {
  if (open_.empty() && flights_.empty()) return 0;
  cancel();
  if (!client_) return open_.size();
  std::vector<Upload> uploads;
  for (const auto& [key, upload] : open_) uploads.push_back(upload);
  auto left = abort_once(uploads);
  // A part that the store was still taking in may have outlived the first.
  if (cut_off_ && left == 0) left = abort_once(uploads);
  open_.clear();
  return left;
} catch (...) {
  return open_.size();
}

std::size_t Uploader::abort_once(const std::vector<Upload>& uploads) {
  std::vector<Call> calls;
  for (const auto& upload : uploads) calls.push_back(call_of(Call::Method::remove, upload));
  const auto done = call_all(std::move(calls));
  return static_cast<std::size_t>(std::count_if(done.begin(), done.end(), [](const auto& one) {
    return one.error && one.error->code() != ErrorCode::not_found;
  }));
}

}  // namespace faro::store
