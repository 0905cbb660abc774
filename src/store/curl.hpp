// Internal to store/: owners of libcurl's handles, and its options with a check.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "base/error.hpp"

namespace faro::store {

struct EasyCleanup {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct MultiCleanup {
  void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};
struct ListCleanup {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyCleanup>;
using Multi = std::unique_ptr<CURLM, MultiCleanup>;
using HeaderList = std::unique_ptr<curl_slist, ListCleanup>;

inline void append(HeaderList& list, const std::string& line) {
  auto* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

template <class Value>
void set(const Easy& easy, CURLoption option, Value value) {
  const auto code = curl_easy_setopt(easy.get(), option, value);
  check(code == CURLE_OK, ErrorCode::internal, "libcurl refused option {}: {}",
        static_cast<int>(option), curl_easy_strerror(code));
}

inline void require(CURLMcode code, const char* call) {
  check(code == CURLM_OK, ErrorCode::internal, "{}: {}", call, curl_multi_strerror(code));
}

}  // namespace faro::store
