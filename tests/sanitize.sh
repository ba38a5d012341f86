#!/bin/sh
# Native code under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of the tree; needs gcc's libasan.
#   sh tests/sanitize.sh                  builds all of it, and runs the tests of what takes foreign bytes apart (make sanitize)
#   sh tests/sanitize.sh fuzz MINUTES     builds only what takes bytes apart, beside what is built already, and fuzzes that: in CI
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cd "$root"
mkdir -p "$copy/work/main"
if [ "${1:-}" = fuzz ]; then
    cp -Rp rotomdb setup.py pyproject.toml "$copy/work/main"
    scope=decoders
else
    git ls-files | tar -cf - -T - | tar -xf - -C "$copy/work/main"
    scope=1
fi
[ -d ../shared ] && ln -s "$(cd ../shared && pwd)" "$copy/work/shared"
cd "$copy/work/main"
ROTOMDB_SANITIZE=$scope "$root/.venv/bin/python" setup.py --quiet build_ext --force --inplace --parallel 2
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
# Leaks are not looked for: the interpreter itself never frees everything. PYTHONMALLOC makes overruns of bytes visible.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export PYTHONMALLOC=malloc PYTHONPATH="$copy/work/main" HYPOTHESIS_STORAGE_DIRECTORY="$copy/.hypothesis"
if [ "$scope" = decoders ]; then
    fuzz() { "$root/.venv/bin/python" -m rotomdb.testing fuzz --keep "$root/fuzz-findings" "$@" "$root/tests/data"; }
    fuzz --minutes 0.05
    fuzz --minutes "$2" --restores 1000000000
    exit
fi
"$root/.venv/bin/python" -m pytest -q -p no:cacheprovider --timeout 1500 \
    tests/corpus/test_rdb_corpus.py tests/corpus/test_damaged_rdb.py tests/corpus/test_aof_corpus.py tests/corpus/test_damaged_aof.py \
    tests/corpus/test_rdb_walk.py tests/property tests/unit/test_bitmaps.py tests/unit/test_hostile_values.py \
    -k "not before_memory_is_taken and not under_the_address_sanitizer" "$@"
