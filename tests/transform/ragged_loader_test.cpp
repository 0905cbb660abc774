// Ragged tensors of a shuffled data set, on any number of ranks.
#include <dlpack/dlpack.h>

#include "images.hpp"

namespace faro::test {
namespace {

constexpr std::uint64_t longest = 12;

std::uint64_t length_of(std::uint64_t number) {
  return number % 5 == 0 ? 0 : number % (longest + 1);
}

/// A token of a sample.
std::int64_t token(std::uint64_t number, std::uint64_t row) {
  return static_cast<std::int64_t>((number * 31 + row * 7) % 65'536);
}

std::string tokens(std::uint64_t number, std::uint64_t length) {
  std::string bytes;
  for (std::uint64_t i = 0; i < length; ++i) {
    const auto value = token(number, i);
    bytes += static_cast<char>(value & 255);
    bytes += static_cast<char>(value >> 8);
  }
  return bytes;
}

/// f32 of length x 3, as NumPy writes them.
std::string points(std::uint64_t number, std::uint64_t length, std::uint64_t columns = 3) {
  const auto header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n", length, columns);
  std::string bytes("\x93NUMPY\1\0", 8);
  bytes += static_cast<char>(header.size());
  bytes += '\0' + header;
  for (std::uint64_t i = 0; i < length * columns; ++i) {
    const auto value = static_cast<float>(number) + static_cast<float>(i) / 64;
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}

/// Images and labels with tokens (raw) and points (npy) of as many rows as length_of() says.
struct Sequences : Images {
  explicit Sequences(const std::function<void(std::uint64_t, Fields&)>& damage = {})
      : Images([&](auto number, auto& fields) {
          fields["tok"] = tokens(number, length_of(number));
          fields["pts"] = points(number, length_of(number));
          if (damage) damage(number, fields);
        }) {
    TensorSpec token_spec;
    token_spec.name = "tokens";
    token_spec.field = "tok";
    token_spec.decode = Decode::raw;
    token_spec.stored = Type::u16;
    token_spec.type = Type::i64;
    token_spec.ragged = Ragged{longest, false};
    TensorSpec point_spec;
    point_spec.name = "points";
    point_spec.field = "pts";
    point_spec.decode = Decode::npy;
    point_spec.shape = {3};
    point_spec.ragged = Ragged{longest, false};
    tensors.tensors.insert(tensors.tensors.begin(), token_spec);
    tensors.tensors.push_back(point_spec);
  }
};

/// Both ragged tensors of a batch are what the samples' numbers say, with no rows where `empty`.
void check_rows(const TensorBatch& batch, const std::function<bool(std::size_t)>& empty = {}) {
  const auto token_values = batch["tokens"].values<std::int64_t>();
  const auto token_offsets = batch["tokens.offsets"].values<std::int64_t>();
  const auto point_values = batch["points"].values<float>();
  const auto point_offsets = batch["points.offsets"].values<std::int64_t>();
  ASSERT_EQ(token_offsets.size(), batch.size() + 1);
  ASSERT_TRUE(std::equal(token_offsets.begin(), token_offsets.end(), point_offsets.begin(),
                         point_offsets.end()));
  ASSERT_EQ(token_offsets[0], 0);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto number = batch.numbers()[i];
    const auto length = empty && empty(i) ? 0 : length_of(number);
    const auto begin = static_cast<std::size_t>(token_offsets[i]);
    ASSERT_EQ(token_offsets[i + 1] - token_offsets[i], static_cast<std::int64_t>(length)) << number;
    for (std::size_t row = 0; row < length; ++row) {
      ASSERT_EQ(token_values[begin + row], token(number, row));
      for (std::size_t c = 0; c < 3; ++c) {
        ASSERT_EQ(point_values[(begin + row) * 3 + c],
                  static_cast<float>(number) + static_cast<float>(row * 3 + c) / 64);
      }
    }
  }
  EXPECT_EQ(batch["tokens"].shape, std::vector<std::int64_t>{token_offsets[batch.size()]});
  EXPECT_EQ(batch["points"].shape, (std::vector<std::int64_t>{token_offsets[batch.size()], 3}));
  EXPECT_EQ(batch["points"].strides, (std::vector<std::int64_t>{3, 1}));
}

TEST(RaggedLoader, DeliversEverySamplesRowsOnce) {
  for (const std::uint32_t threads : {0U, 3U}) {
    Sequences data;
    data.config.epochs = 2;
    data.tensors.transform_threads = threads;
    TensorLoader loader(data.config, data.tensors);
    while (loader.begin_epoch()) {
      std::vector<std::uint64_t> times(Images::samples);
      while (const auto batch = loader.next()) {
        check_rows(*batch);
        std::string names;
        for (const auto& tensor : batch->tensors()) names += tensor.name + " ";
        EXPECT_EQ(names, "tokens image label points tokens.offsets points.offsets ");
        for (std::size_t i = 0; i < batch->size(); ++i) {
          if (batch->weights()[i] != 0) ++times[batch->numbers()[i]];
        }
      }
      data.world->all_reduce(times, comm::Op::sum);
      EXPECT_EQ(times, std::vector<std::uint64_t>(Images::samples, 1));
    }
  }
}

TEST(RaggedLoader, PadsHaveTheirSamplesRows) {
  Sequences data;
  data.config.global_batch = 99;  // of 111: the last ranks of the second step have pads alone
  TensorLoader loader(data.config, data.tensors);
  ASSERT_TRUE(loader.begin_epoch());
  std::vector<std::uint64_t> pads(1);
  while (const auto batch = loader.next()) {
    check_rows(*batch);
    for (const auto weight : batch->weights()) pads[0] += weight == 0 ? 1 : 0;
  }
  data.world->all_reduce(pads, comm::Op::sum);
  EXPECT_EQ(pads[0], 2U * 99 - Images::samples);
}

TEST(RaggedLoader, LocalBatchesMayBeEmpty) {
  Sequences data;
  data.config.end = EndPolicy::partial;
  data.config.global_batch = 110;  // and one sample in the second step
  TensorLoader loader(data.config, data.tensors);
  ASSERT_TRUE(loader.begin_epoch());
  while (const auto batch = loader.next()) check_rows(*batch);
}

TEST(RaggedLoader, SequencesMayAllBeEmpty) {
  Sequences data([](auto n, auto& fields) {
    fields["tok"] = "";
    fields["pts"] = points(n, 0);
  });
  TensorLoader loader(data.config, data.tensors);
  ASSERT_TRUE(loader.begin_epoch());
  while (const auto batch = loader.next()) check_rows(*batch, [](std::size_t) { return true; });
}

/// A hash of all rows and where they are in the run, over all ranks.
std::uint64_t hash_of_rows(Sequences& data, MPI_Comm comm) {
  TensorLoader loader(data.config, data.tensors, comm);
  std::vector<std::uint64_t> sum(1);
  while (loader.begin_epoch()) {
    while (const auto batch = loader.next()) {
      const auto values = (*batch)["points"].values<std::uint16_t>();
      const auto offsets = (*batch)["points.offsets"].values<std::int64_t>();
      for (std::size_t i = 0; i < batch->size(); ++i) {
        std::uint64_t hash = batch->epoch() * 1000 + batch->step() * 100 + batch->first_slot() + i;
        for (auto v = offsets[i] * 3; v < offsets[i + 1] * 3; ++v) {
          hash = hash * 1099511628211U + values[static_cast<std::size_t>(v)];
        }
        sum[0] += hash;
      }
    }
  }
  comm::from_mpi(comm)->all_reduce(sum, comm::Op::sum);
  return sum[0];
}

TEST(RaggedLoader, RowsAreTheSameOnAnyNumberOfRanksAndThreads) {
  register_transform("test_jitter", [](std::span<float> values, auto, const UserDraw& draw) {
    for (auto& value : values) value += static_cast<float>(draw());
  });
  Sequences data;
  data.config.epochs = 2;
  data.config.window = {Window::Kind::full, 0};
  auto& spec = data.tensors.tensors.back();
  spec.type = Type::bf16;
  spec.ragged = Ragged{7, true};
  spec.steps = {Normalise{{1, 2, 3}, {2}, 1.0}, Registered{"test_jitter"}};
  data.tensors.transform_threads = 0;
  const auto alone = hash_of_rows(data, MPI_COMM_SELF);
  EXPECT_EQ(hash_of_rows(data, MPI_COMM_WORLD), alone);
  data.tensors.transform_threads = 3;
  EXPECT_EQ(hash_of_rows(data, MPI_COMM_WORLD), alone);
  spec.ragged->truncate = false;
  spec.ragged->max_length = longest;
  EXPECT_NE(hash_of_rows(data, MPI_COMM_WORLD), alone);
}

TEST(RaggedLoader, ABadSampleIsTheSameErrorOnAllRanks) {
  Sequences longer([](auto n, auto& fields) {
    if (n == 50) fields["tok"] = tokens(n, longest + 1);
  });
  EXPECT_SAYS(
      error_of_run(longer),
      "train-1.tar: field 'tok', tensor 'tokens': a sample of 13 rows, and max_length is 12");
  for (const std::uint32_t threads : {0U, 2U}) {
    Sequences odd([](auto n, auto& fields) {
      if (n == 3) fields["tok"] += "x";
    });
    odd.tensors.transform_threads = threads;
    EXPECT_SAYS(error_of_run(odd),
                "tensor 'tokens': 7 bytes are no whole number of rows: one number of u16 are 2");
  }
  Sequences wide([](auto n, auto& fields) {
    if (n == 110) fields["pts"] = points(n, 4, 2);
  });
  EXPECT_SAYS(error_of_run(wide),
              "tensor 'points': an array of 4 x 2, and a row of the tensor is 3");
  Sequences missing([](auto n, auto& fields) {
    if (n == 7) fields.erase("pts");
  });
  EXPECT_SAYS(error_of_run(missing), "field 'pts', tensor 'points': the sample has no such field");
}

TEST(RaggedLoader, SkippedSamplesHaveNoRows) {
  // Found by their lengths, and, as images, when the others' rows lie behind theirs already.
  const auto bad = [](std::uint64_t n) { return n % 7 == 3 || n % 11 == 4; };
  Sequences data([&](auto n, auto& fields) {
    if (n % 7 == 3) fields["pts"] = points(n, longest + 1);
    if (n % 11 == 4) fields["png"].resize(20);
  });
  data.tensors.on_bad_sample = BadSample::skip;
  for (const std::uint32_t threads : {0U, 2U}) {
    data.tensors.transform_threads = threads;
    TensorLoader loader(data.config, data.tensors);
    std::vector<std::uint64_t> counts(2);  // skipped, weighing
    while (loader.begin_epoch()) {
      while (const auto batch = loader.next()) {
        check_rows(*batch, [&](std::size_t i) { return bad(batch->numbers()[i]); });
        for (std::size_t i = 0; i < batch->size(); ++i) {
          EXPECT_FALSE(batch->weights()[i] != 0 && bad(batch->numbers()[i]));
          counts[1] += batch->weights()[i] != 0 ? 1 : 0;
        }
      }
    }
    counts[0] = loader.tensor_stats().skipped;
    data.world->all_reduce(counts, comm::Op::sum);
    EXPECT_EQ(counts[0] + counts[1], Images::samples);
    EXPECT_GT(counts[0], 16U);
  }
}

TEST(RaggedLoader, AllSamplesMayBeSkipped) {
  Sequences data([&](auto n, auto& fields) {
    fields["tok"] += n % 2 == 0 ? "x" : "";
    if (n % 2 == 1) fields["png"].resize(20);
  });
  data.tensors.on_bad_sample = BadSample::skip;
  data.tensors.transform_threads = 2;
  TensorLoader loader(data.config, data.tensors);
  ASSERT_TRUE(loader.begin_epoch());
  while (const auto batch = loader.next()) {
    check_rows(*batch, [](std::size_t) { return true; });
    for (const auto weight : batch->weights()) EXPECT_EQ(weight, 0);
  }
}

TEST(RaggedLoader, DlpackGivesBothTensors) {
  Sequences data;
  TensorLoader loader(data.config, data.tensors);
  ASSERT_TRUE(loader.begin_epoch());
  auto batch = loader.next();
  ASSERT_TRUE(batch);
  const auto size = static_cast<std::int64_t>(batch->size());
  auto* values = batch->dlpack("points");
  auto* offsets = batch->dlpack("points.offsets");
  batch.reset();
  const auto* begins = static_cast<const std::int64_t*>(offsets->dl_tensor.data);
  ASSERT_EQ(offsets->dl_tensor.ndim, 1);
  EXPECT_EQ(offsets->dl_tensor.shape[0], size + 1);
  EXPECT_EQ(offsets->dl_tensor.dtype.code, kDLInt);
  ASSERT_EQ(values->dl_tensor.ndim, 2);
  EXPECT_EQ(values->dl_tensor.shape[0], begins[size]);
  EXPECT_EQ(values->dl_tensor.shape[1], 3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(values->dl_tensor.data) % 256, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(begins) % 256, 0U);
  values->deleter(values);
  offsets->deleter(offsets);
}

TEST(RaggedLoader, TheLongestSampleIsPlannedFor) {
  Sequences data;
  data.tensors.transform_threads = 0;
  const auto ring_bytes = [&] {
    return TensorLoader(data.config, data.tensors).tensor_plan().ring_bytes;
  };
  const auto before = ring_bytes();
  data.tensors.tensors[0].ragged->max_length = longest + 1024;
  const auto samples = (16 + static_cast<std::uint64_t>(data.world->size()) - 1) /
                       static_cast<std::uint64_t>(data.world->size());
  const auto more = samples * 1024 * 8 * data.config.leases;
  EXPECT_NEAR(static_cast<double>(ring_bytes() - before), static_cast<double>(more),
              256.0 * static_cast<double>(data.config.leases));
  data.tensors.tensors[0].ragged->max_length = std::uint64_t{1} << 32;
  EXPECT_SAYS(error_of([&] { TensorLoader loader(data.config, data.tensors); }, ErrorCode::memory),
              "the tensors of a rank take");
}

}  // namespace
}  // namespace faro::test
