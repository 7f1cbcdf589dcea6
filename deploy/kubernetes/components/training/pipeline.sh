#!/bin/sh
# What the Job `pipeline` does in its volume. /work/files has the ConfigMap `pipeline`: dvc.yaml, .dvcignore and leaves.yaml.
set -eu

files=$(dirname "$0")
if ! command -v dvc >/dev/null; then
    echo "error: the trainer's image has no DVC: build it with TRAINER_EXTRAS=dvc (or lite0,dvc)" >&2
    exit 6
fi
export DVC_NO_ANALYTICS=true
mkdir -p configs
cp "$files/dvc.yaml" dvc.yaml
cp "$files/dvcignore" .dvcignore
cp "$files/leaves.yaml" configs/leaves.yaml
[ -d .dvc ] || dvc init --no-scm --quiet
# A pod that was killed could not remove it, and only one Job runs at a time.
rm -f .dvc/tmp/rwlock
if [ -n "${PIPELINE_REMOTE:-}" ]; then
    dvc remote add --quiet --force --default remote "$PIPELINE_REMOTE"
    [ -z "${PIPELINE_ENDPOINT:-}" ] || dvc remote modify --quiet remote endpointurl "$PIPELINE_ENDPOINT"
fi
dvc repro
[ -z "${PIPELINE_REMOTE:-}" ] || dvc push
