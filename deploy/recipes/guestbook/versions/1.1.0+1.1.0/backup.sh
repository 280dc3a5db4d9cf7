#!/bin/sh
# Called by backups: `backup` writes the entries to a dump that does not change while it is copied, `restore` takes
# them from there.
set -eu
case ${1:-} in
  backup)
    mkdir -p /data/dump
    cp /data/entries /data/dump/entries.part
    mv /data/dump/entries.part /data/dump/entries
    ;;
  restore)
    cp /data/dump/entries /data/entries.part
    mv /data/entries.part /data/entries
    ;;
  *)
    echo "usage: $0 backup|restore" >&2
    exit 2
    ;;
esac
