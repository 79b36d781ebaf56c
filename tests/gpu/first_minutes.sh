#!/usr/bin/env bash
# What a graphics card is asked first: are its results right, and how fast is it?
#
#   bash tests/gpu/first_minutes.sh FOLDER                # what is printed is kept in FOLDER
#   bash tests/gpu/first_minutes.sh FOLDER --device cpu   # a rehearsal where there is no card
#
# For a machine that is there for minutes only, without Snakemake, pytest and a network: it needs the
# packages of envs/torch.yaml. Each part has a limit in seconds, and none that fails stops the others.
# In the time that is left, tests/gpu/train_many.py trains.
set -u
[ $# -gt 0 ] || { echo "usage: bash $0 FOLDER [--device cpu]" >&2; exit 2; }
mkdir -p "$1" && folder=$(realpath "$1") && cd "$(dirname "$0")/../.." || exit 1
shift
python=$(command -v python3 || command -v python) || { echo "there is no Python" >&2; exit 1; }
export PYTHONPATH=workflow/scripts PYTHONUNBUFFERED=1

part() {
  local name=$1 limit=$2
  shift 2
  timeout -k 10 "$limit" "$python" "$@" > "$folder/$name.txt" 2>&1 || echo "$name: failed" >> "$failed"
  printf '\n=== %s (%ds)\n' "$name" "$SECONDS"
  cat "$folder/$name.txt"
}

# Not in the folder, of which such machines give a few files back.
failed=$(mktemp)
# The checks at the same time, because much of their time goes by on the CPU. Fused kernels are on
# their own: what one of them does to the card's memory would make all later checks fail.
checks=(240 tests/gpu/run_checks.py "$@" --only)
part gradients "${checks[@]}" gradients diverging --without triton &
part bits "${checks[@]}" same_bits wait --without triton &
part curves "${checks[@]}" three_epochs twins memory --without triton &
part metrics "${checks[@]}" metric transferred --without bounds &
part bounds "${checks[@]}" bounds &
part fused "${checks[@]}" triton &
wait
# Speed with nothing beside it.
rehearsed=()
[ $# = 0 ] || rehearsed=(--batches 2 --rounds 1 --seconds 1)
part speed 150 tests/benchmarks/card_speed.py "$@" --depths 20 --at-once 1 2 4 "${rehearsed[@]}"
[ $# -gt 0 ] || part fused_speed 150 tests/benchmarks/fused_speed.py

printf '\n=== done (%ds)\n' "$SECONDS"
[ ! -s "$failed" ] || { cat "$failed"; exit 1; }
