package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func TestVolumeIsMadeOnTheSelectedNodeAndRemoved(t *testing.T) {
	root := t.TempDir()
	p := &provisioner{root: root}
	reclaim := v1.PersistentVolumeReclaimDelete
	volume, _, err := p.Provision(context.Background(), controller.ProvisionOptions{
		StorageClass:     &storagev1.StorageClass{ReclaimPolicy: &reclaim},
		PVName:           "pvc-1",
		PVC:              &v1.PersistentVolumeClaim{},
		SelectedNodeName: "node",
	})
	if err != nil {
		t.Fatal(err)
	}
	if volume.Spec.NodeAffinity == nil {
		t.Error("the volume is not bound to its node")
	}
	path := filepath.Join(root, "pvc-1")
	if volume.Spec.HostPath.Path != path {
		t.Errorf("path %s, want %s", volume.Spec.HostPath.Path, path)
	}
	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the directory is still there")
	}
}

func TestDeleteStaysBelowTheRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "volumes")
	outside := filepath.Join(filepath.Dir(root), "outside")
	for _, directory := range []string{root, outside} {
		if err := os.Mkdir(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p := &provisioner{root: root}
	if err := p.Delete(context.Background(), &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "../outside"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error("a directory outside the root was removed")
	}
}
