#!/bin/sh
# Usage: submit.sh THREADS MEMORY_MB MINUTES GPUS SCRIPT. Creates a Kubernetes job that runs the script, and prints its name.
# UNWEAVE_IMAGE: the container image. UNWEAVE_CLAIM: the volume claim that holds this folder. UNWEAVE_MOUNT: where it is mounted.
set -eu
image=${UNWEAVE_IMAGE:?name the container image}
claim=${UNWEAVE_CLAIM:?name the claim that holds this folder}
mount=${UNWEAVE_MOUNT:?name the folder where the claim is mounted}
kubectl create --output name --filename - <<END
apiVersion: batch/v1
kind: Job
metadata:
  generateName: unweave-
spec:
  backoffLimit: 0
  activeDeadlineSeconds: $(($3 * 60))
  ttlSecondsAfterFinished: 86400
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job
          image: $image
          command: [sh, "$5"]
          workingDir: $PWD
          resources:
            requests: {cpu: "$1", memory: $2M}
            limits: {memory: $2M, nvidia.com/gpu: "$4"}
          volumeMounts: [{name: project, mountPath: $mount}]
      volumes:
        - name: project
          persistentVolumeClaim: {claimName: $claim}
END
