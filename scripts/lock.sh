#!/usr/bin/env bash
# Writes constraints.txt: one version of every package for all services and tools, on Python 3.11 to 3.13 and every system;
# constraints.hashed.txt: the same with the hashes of all files of each version; and in scripts/installer uv.txt, dvc.txt and
# evidently.txt: uv, and the environments of DVC and of Evidently, with hashes. docs/adr/0023-hashes-beside-versions.md.
set -Eeuo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/lock.sh [--upgrade]

Writes constraints.txt and constraints.hashed.txt from the services' pyproject.toml and the groups of the top-level one,
and in scripts/installer uv.txt, dvc.txt and evidently.txt. Versions that still fit stay as they are; --upgrade takes the
newest of all, --upgrade-package NAME of one. Afterwards run docs/reference/licences.py.
TEXT
}

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

case ${1:-} in -h | --help) usage; exit 0 ;; esac

cd "$root"
[ -x .venv/bin/uv ] || install_handful tools

extras_of() { # the service: its extras that are locked, too
    case $1 in
        core) printf '[batch,ray]' ;;
        trainer) printf '[lite0,precision]' ;;
    esac
}
services=() ours=()
for project in services/*/pyproject.toml; do
    name=$(basename "$(dirname "$project")")
    services+=("-e services/$name$(extras_of "$name")")
    ours+=(--no-emit-package "handful-$name")
done
compile() { # the file; packages on stdin, one a line
    local file=$1
    shift
    UV_CUSTOM_COMPILE_COMMAND=scripts/lock.sh .venv/bin/uv pip compile - --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file "$file" "$@"
}

# The image of serving for GPUs has it in place of onnxruntime, at the same version.
printf '%s\n' "${services[@]}" "onnxruntime-gpu[cuda,cudnn] ; sys_platform == 'linux'" | compile constraints.hashed.txt \
    --group pyproject.toml:install --group pyproject.toml:dev "${ours[@]}" "$@"
sed -e '/^    --hash=/d' -e 's/ \\$//' constraints.hashed.txt >constraints.txt
printf '%s\n' uv | compile scripts/installer/uv.txt --constraints constraints.txt
printf '%s\n' dvc==3.67.1 dvc-s3==3.3.0 | compile scripts/installer/dvc.txt "$@"
printf '%s\n' evidently==0.7.23 'pandas<3.1' | compile scripts/installer/evidently.txt "$@"
