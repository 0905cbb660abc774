// The manifest as an HDF5 file: /shards, /blocks and /sample_sizes are tables of named columns, the
// rest are attributes. It is made and parsed in memory: what is checked is what HDF5 sees, a full
// disk is met by plain writes, and no file lock is needed.
#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "manifest/frame.hpp"
#include "manifest/hdf5_handle.hpp"
#include "manifest/manifest.hpp"

namespace faro::manifest {
namespace {

constexpr std::size_t longest_text = 1U << 16U;
constexpr std::size_t memory_step = 1U << 20U;

/// Integer types by their C++ type, in memory.
template <class T>
hid_t native() {
  static_assert(std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t>);
  return std::is_same_v<T, std::uint32_t> ? H5T_NATIVE_UINT32 : H5T_NATIVE_UINT64;
}

Type compound(std::size_t size) {
  return {H5Tcreate(H5T_COMPOUND, size), "a table's type"};
}

void insert(hid_t type, const char* name, std::size_t offset, hid_t member) {
  hdf5(H5Tinsert(type, name, offset, member), name);
}

Type text_type(std::size_t size) {
  Type type(H5Tcopy(H5T_C_S1), "a text's type");
  hdf5(H5Tset_size(type, size), "a text's size");
  hdf5(H5Tset_strpad(type, H5T_STR_NULLPAD), "a text's padding");
  hdf5(H5Tset_cset(type, H5T_CSET_UTF8), "a text's encoding");
  return type;
}

Type block_type() {
  Type type = compound(sizeof(Block));
  insert(type, "shard", offsetof(Block, shard), native<std::uint32_t>());
  insert(type, "crc32c", offsetof(Block, crc32c), native<std::uint32_t>());
  insert(type, "offset", offsetof(Block, offset), native<std::uint64_t>());
  insert(type, "length", offsetof(Block, length), native<std::uint64_t>());
  insert(type, "first_sample", offsetof(Block, first_sample), native<std::uint64_t>());
  insert(type, "count", offsetof(Block, count), native<std::uint32_t>());
  insert(type, "flags", offsetof(Block, flags), native<std::uint32_t>());
  return type;
}

Type bucket_type() {
  using Bucket = SizeHistogram::Bucket;
  Type type = compound(sizeof(Bucket));
  insert(type, "count", offsetof(Bucket, count), native<std::uint64_t>());
  insert(type, "largest", offsetof(Bucket, largest), native<std::uint64_t>());
  return type;
}

/// The shards' records: texts of fixed length, as long as the longest needs (one byte at least).
struct ShardLayout {
  std::size_t uri = 1;
  std::size_t etag = 1;
  [[nodiscard]] std::size_t size_at() const { return uri; }
  [[nodiscard]] std::size_t etag_at() const { return uri + sizeof(std::uint64_t); }
  [[nodiscard]] std::size_t bytes() const { return etag_at() + etag; }
  [[nodiscard]] Type type() const {
    Type type = compound(bytes());
    insert(type, "uri", 0, text_type(uri));
    insert(type, "size", size_at(), native<std::uint64_t>());
    insert(type, "etag", etag_at(), text_type(etag));
    return type;
  }
};

void write_table(hid_t file, const char* name, hid_t type, std::size_t rows, const void* data) {
  const hsize_t count = rows;
  const Space space(H5Screate_simple(1, &count, nullptr), name);
  const Dataset set(H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                    name);
  hdf5(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), name);
}

void write_attribute(hid_t file, const char* name, hid_t type, const void* value) {
  const Space space(H5Screate(H5S_SCALAR), name);
  const Attribute attribute(H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT), name);
  hdf5(H5Awrite(attribute, type, value), name);
}

void write_number(hid_t file, const char* name, std::uint64_t value) {
  write_attribute(file, name, native<std::uint64_t>(), &value);
}

void write_shards(hid_t file, const std::vector<Shard>& shards) {
  ShardLayout layout;
  for (const Shard& shard : shards) {
    check(std::max(shard.uri.size(), shard.etag.size()) <= longest_text,
          ErrorCode::invalid_argument, "a shard's URI or ETag is longer than 64 KiB");
    layout.uri = std::max(layout.uri, shard.uri.size());
    layout.etag = std::max(layout.etag, shard.etag.size());
  }
  std::vector<char> rows(shards.size() * layout.bytes());
  char* row = rows.data();
  for (const Shard& shard : shards) {
    std::memcpy(row, shard.uri.data(), shard.uri.size());
    std::memcpy(row + layout.size_at(), &shard.size, sizeof(shard.size));
    std::memcpy(row + layout.etag_at(), shard.etag.data(), shard.etag.size());
    row += layout.bytes();
  }
  write_table(file, "shards", layout.type(), shards.size(), rows.data());
}

/// A table that is open for reading, its rows known to be there before memory is taken for them.
struct Table {
  Table(hid_t file, const char* table_name, std::size_t file_size)
      : name(table_name),
        set(H5Dopen2(file, name, H5P_DEFAULT), name),
        type(H5Dget_type(set), name) {
    const Space space(H5Dget_space(set), name);
    const bool plain = hdf5(H5Sget_simple_extent_ndims(space), name) == 1 &&
                       H5Tget_class(type) == H5T_COMPOUND && H5Tget_size(type) > 0;
    check(plain, ErrorCode::format, "/{} is no table", name);
    hsize_t count = 0;
    hdf5(H5Sget_simple_extent_dims(space, &count, nullptr), name);
    check(count <= file_size / H5Tget_size(type), ErrorCode::format, "/{} has {} rows in {} bytes",
          name, count, file_size);
    rows = count;
  }
  void read(hid_t memory_type, void* into) const {
    hdf5(H5Dread(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, into), name);
  }
  /// Bytes of a fixed-length text column.
  [[nodiscard]] std::size_t text_size(const char* column) const {
    const auto index = static_cast<unsigned>(hdf5(H5Tget_member_index(type, column), column));
    const Type member(H5Tget_member_type(type, index), column);
    const std::size_t size = H5Tget_size(member);
    check(H5Tget_class(member) == H5T_STRING && H5Tis_variable_str(member) == 0 && size > 0 &&
              size <= longest_text,
          ErrorCode::format, "/{}: {} is no text of fixed length", name, column);
    return size;
  }

  const char* name;
  Dataset set;
  Type type;
  std::size_t rows = 0;
};

std::vector<Shard> read_shards(hid_t file, std::size_t file_size) {
  const Table table(file, "shards", file_size);
  const ShardLayout layout{table.text_size("uri"), table.text_size("etag")};
  std::vector<char> rows(table.rows * layout.bytes());
  table.read(layout.type(), rows.data());
  std::vector<Shard> shards(table.rows);
  const char* row = rows.data();
  for (Shard& shard : shards) {
    shard.uri.assign(row, ::strnlen(row, layout.uri));
    std::memcpy(&shard.size, row + layout.size_at(), sizeof(shard.size));
    shard.etag.assign(row + layout.etag_at(), ::strnlen(row + layout.etag_at(), layout.etag));
    row += layout.bytes();
  }
  return shards;
}

std::uint64_t read_number(hid_t file, const char* name) {
  const Attribute attribute(H5Aopen(file, name, H5P_DEFAULT), name);
  const Space space(H5Aget_space(attribute), name);
  check(H5Sget_simple_extent_npoints(space) == 1, ErrorCode::format, "{} is no single number",
        name);
  std::uint64_t value = 0;
  hdf5(H5Aread(attribute, native<std::uint64_t>(), &value), name);
  return value;
}

std::string read_text(hid_t file, const char* name) {
  const Attribute attribute(H5Aopen(file, name, H5P_DEFAULT), name);
  const Type stored(H5Aget_type(attribute), name);
  const Space space(H5Aget_space(attribute), name);
  check(H5Sget_simple_extent_npoints(space) == 1 && H5Tget_class(stored) == H5T_STRING &&
            H5Tis_variable_str(stored) == 0,
        ErrorCode::format, "{} is no single text", name);
  std::array<char, 64> value{};
  hdf5(H5Aread(attribute, text_type(value.size()), value.data()), name);
  return {value.data(), ::strnlen(value.data(), value.size())};
}

std::vector<std::byte> encode(const Manifest& manifest) {
  const QuietHdf5 quiet;
  const Properties access(H5Pcreate(H5P_FILE_ACCESS), "access");
  hdf5(H5Pset_fapl_core(access, memory_step, 0), "memory");
  const Properties creation(H5Pcreate(H5P_FILE_CREATE), "creation");
  hdf5(H5Pset_userblock(creation, frame_size), "user block");
  const File file(H5Fcreate("manifest", H5F_ACC_TRUNC, creation, access), "manifest");

  write_attribute(file, "format", text_type(manifest.format.name.size()),
                  manifest.format.name.data());
  write_number(file, "version", frame_version);
  write_number(file, "raw_header", manifest.format.raw_header);
  write_number(file, "raw_record", manifest.format.raw_record);
  write_number(file, "samples", manifest.samples);
  write_number(file, "bytes", manifest.bytes);
  write_shards(file, manifest.shards);
  write_table(file, "blocks", block_type(), manifest.blocks.size(), manifest.blocks.data());
  write_table(file, "sample_sizes", bucket_type(), SizeHistogram::buckets,
              manifest.sizes.bucket.data());

  hdf5(H5Fflush(file, H5F_SCOPE_GLOBAL), "manifest");
  // The image begins after the user block.
  std::vector<std::byte> image(
      static_cast<std::size_t>(hdf5(H5Fget_file_image(file, nullptr, 0), "manifest")));
  hdf5(H5Fget_file_image(file, image.data(), image.size()), "manifest");
  return image;
}

Manifest decode(std::vector<std::byte>& image) {
  const QuietHdf5 quiet;
  const Properties access(H5Pcreate(H5P_FILE_ACCESS), "access");
  hdf5(H5Pset_fapl_core(access, memory_step, 0), "memory");
  hdf5(H5Pset_file_image(access, image.data(), image.size()), "manifest");
  const File file(H5Fopen("manifest", H5F_ACC_RDONLY, access), "manifest");

  Manifest manifest;
  manifest.format.name = read_text(file, "format");
  manifest.format.raw_header = read_number(file, "raw_header");
  manifest.format.raw_record = read_number(file, "raw_record");
  manifest.shards = read_shards(file, image.size());
  const Table blocks(file, "blocks", image.size());
  manifest.blocks.resize(blocks.rows);
  blocks.read(block_type(), manifest.blocks.data());
  const Table sizes(file, "sample_sizes", image.size());
  check(sizes.rows == SizeHistogram::buckets, ErrorCode::format, "/sample_sizes has {} rows",
        sizes.rows);
  sizes.read(bucket_type(), manifest.sizes.bucket.data());

  manifest.validate();
  check(manifest.samples == read_number(file, "samples") &&
            manifest.bytes == read_number(file, "bytes"),
        ErrorCode::format, "samples and bytes do not agree with /blocks");
  return manifest;
}

}  // namespace

void hdf5_failed(std::string_view what) {
  std::string reason;
  const auto innermost_last = [](unsigned, const H5E_error2_t* entry, void* into) -> herr_t {
    *static_cast<std::string*>(into) = entry->desc == nullptr ? "" : entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, innermost_last, &reason);  // ends at where it began
  fail(ErrorCode::format, "{}: HDF5: {}", what, reason);
}

void write(const Manifest& manifest, const std::string& file) {
  const auto content = encode(manifest);
  write_atomically(file, frame(content), content);
}

Manifest read(const std::string& file) {
  try {
    auto content = read_framed(file);
    return decode(content);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::format) throw;
    fail(ErrorCode::format, "{}: {}", file, error.what());
  }
}

}  // namespace faro::manifest
