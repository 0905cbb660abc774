// Owners of HDF5 handles, and its errors as faro's.
#pragma once

#include <hdf5.h>

#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace faro::manifest {

/// Keeps HDF5 from printing its error stack; gives the host program its printer back.
class QuietHdf5 {
 public:
  QuietHdf5() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~QuietHdf5() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  QuietHdf5(const QuietHdf5&) = delete;
  QuietHdf5& operator=(const QuietHdf5&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// Throws Error(format) with HDF5's own words.
[[noreturn]] void hdf5_failed(std::string_view what);

/// The result of an HDF5 call (an id, a count or a status); Error(format) where it is negative.
template <class Result>
Result hdf5(Result result, std::string_view what) {
  if (result < 0) hdf5_failed(what);
  return result;
}

/// Owns one handle; closes it with `close`.
template <herr_t (*close)(hid_t)>
class Handle {
 public:
  Handle(hid_t id, std::string_view what) : id_(hdf5(id, what)) {}
  ~Handle() {
    if (id_ >= 0) close(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }  // NOLINT: stands for the id it owns

 private:
  hid_t id_;
};

using File = Handle<H5Fclose>;
using Dataset = Handle<H5Dclose>;
using Attribute = Handle<H5Aclose>;
using Space = Handle<H5Sclose>;
using Type = Handle<H5Tclose>;
using Properties = Handle<H5Pclose>;

}  // namespace faro::manifest
