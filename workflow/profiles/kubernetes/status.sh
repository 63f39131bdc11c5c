#!/bin/sh
# Usage: status.sh JOB. Prints success, failed or running.
set -eu
case $(kubectl get "$1" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}') in
*Complete*) echo success ;;
*Failed*) echo failed ;;
*) echo running ;;
esac
