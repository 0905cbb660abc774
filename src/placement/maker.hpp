// What every placement does with a batch: it shares the samples among threads, notes what is wrong
// by slot, fills the slots of bad samples, and says where ragged samples begin. Where elements go,
// and how, is the kind of memory's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "placement/placement.hpp"
#include "placement/tensor_batch.hpp"
#include "placement/workers.hpp"

namespace faro::placement {

/// Those that derive from it call discard() before they go: threads use them.
class Maker : public Placement {
 public:
  void start(Batch batch, std::uint64_t key) final;
  TensorBatch finish() final;
  void discard() noexcept final;
  [[nodiscard]] std::uint64_t skipped() const noexcept final { return skipped_; }

 protected:
  explicit Maker(Options options);

  /// Memory for a batch; nullptr where the consumer holds all.
  [[nodiscard]] virtual std::unique_ptr<Place> take() = 0;
  /// Where the host writes a tensor of the batch that take() has given memory for.
  [[nodiscard]] virtual std::byte* host_memory(std::size_t tensor) const = 0;
  /// One tensor of one sample; several threads at once.
  virtual void make(std::size_t program, std::size_t sample, transform::Bytes field,
                    const transform::Draws& draws, transform::Scratch& scratch);
  /// Fills a bad sample's slot of a tensor that is not ragged. \param good a sample, if there is
  /// one
  virtual void substitute(std::size_t program, std::size_t bad, std::optional<std::size_t> good);
  /// All samples are made: sends the tensors on their way.
  virtual void deliver(std::span<const Tensor> /*tensors*/, Batch /*batch*/) {}

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const transform::Program& program(std::size_t i) const {
    return options_.programs[i];
  }
  /// Where the host writes a sample of a tensor.
  [[nodiscard]] std::byte* place_of(std::size_t program, std::size_t sample) const;

 private:
  void place_rows(std::size_t program);
  void drop_rows(std::size_t program);
  void make_sample(std::size_t worker, std::size_t sample) noexcept;
  [[nodiscard]] std::string explain(const Sample& sample, const transform::Program& program,
                                    std::string_view why) const;
  void fill_bad();

  Options options_;
  std::vector<transform::Scratch> scratch_;  // by worker

  // What start() has begun.
  std::optional<Batch> batch_;
  std::shared_ptr<TensorBatch::Impl> out_;
  std::uint64_t key_ = 0;
  std::vector<std::int64_t*> rows_;  // by program: where its samples begin; nullptr: not ragged
  std::vector<std::string> errors_;  // by sample; empty where it is good
  std::uint64_t skipped_ = 0;
  Workers workers_;  // goes first: it uses all of this
};

}  // namespace faro::placement
