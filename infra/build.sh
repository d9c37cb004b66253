#!/usr/bin/env bash
# Build the image with buildah, which needs no daemon: infra/build.sh [cpu|cuda] [further arguments of buildah bud].
#   infra/build.sh                                     tonearm:VERSION, torch's builds for CPUs
#   infra/build.sh cuda                                tonearm-cuda:VERSION
#   infra/build.sh --base                              only a Debian to build upon, where no registry of images is reached
#   BASE=localhost/tonearm-base:bookworm infra/build.sh ...     build upon it
# What pip is told on this machine (index, certificates, folders of wheels) is lent to the build and is in no layer.
set -euo pipefail
cd "$(dirname "$0")/.."
buildah=(buildah --storage-driver "${STORAGE_DRIVER:-vfs}")

if [[ "${1:-}" == --base ]]; then # bookworm has Python 3.11; where it is fetched from is what apt is told
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$folder/root" "$mirror"
  rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/*
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" add --quiet "$container" "$folder/root" /
  "${buildah[@]}" config --cmd bash "$container"
  "${buildah[@]}" commit --quiet --rm "$container" tonearm-base:bookworm
  exit
fi

accelerator=${1:-cpu}
shift || true
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
name=tonearm
[[ "$accelerator" == cuda ]] && name=tonearm-cuda

lent=$(mktemp -d)
trap 'rm -rf "$lent"' EXIT
python3 infra/lend_pip.py "$lent" # writes pip.conf, ca and volumes there
volumes=()
while read -r folder; do volumes+=(--volume "$folder:$folder:ro"); done < "$lent/volumes"

"${buildah[@]}" bud --isolation "${ISOLATION:-chroot}" --format docker --file infra/Dockerfile --tag "$name:$version" \
  --secret id=pip,src="$lent/pip.conf" --secret id=ca,src="$lent/ca" "${volumes[@]}" \
  ${BASE:+--build-arg BASE="$BASE"} --build-arg ACCELERATOR="$accelerator" \
  --build-arg COMMIT="$(git rev-parse HEAD)$(git diff --quiet HEAD || echo +changes)" "$@" .
echo "$name:$version"
