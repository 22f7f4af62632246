#!/usr/bin/env bash
# Grades a class in eight parts with a job array, and joins the results. Submit it in your copy of HTTP
# Lab, on a file system that all nodes share, with the submissions in `submissions`:
#
#     cargo build --package lab --package stage2_multiprocess
#     sbatch --wait docs/class/slurm.sh && docs/class/slurm.sh join
#
# On a cluster you are not root, so students' programs run as you: they can read your files. Use an
# account that has nothing else, or a container.
#SBATCH --job-name=http-lab
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=05:00:00
set -euo pipefail

if [ "${1:-}" = join ]; then
  # All parts are in the same folder.
  exec cargo lab grade 2 --submissions submissions --merge results --output results
fi
cargo lab grade 2 --submissions submissions \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --output results
