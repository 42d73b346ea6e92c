// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestLowestSlot(t *testing.T) {
	slot, err := lowestSlot(func(slot int) bool { return slot < 7 || slot == 8 })
	if err != nil || slot != 7 {
		t.Errorf("got %d, %v; want 7", slot, err)
	}
	if _, err := lowestSlot(func(int) bool { return true }); err == nil {
		t.Error("a slot was found where none is free")
	}
}

// Two clusters that start at the same time must not get the same subnet.
func TestClaimSlotConcurrently(t *testing.T) {
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", t.TempDir())
	names := []string{"a", "b", "c", "d", "e", "f"}
	slots := make([]int, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			c, err := open(name)
			if err == nil {
				err = c.claimSlot()
			}
			if err != nil {
				t.Error(err)
				return
			}
			slots[i] = c.Slot
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for i, slot := range slots {
		if seen[slot] {
			t.Errorf("slot %d was claimed twice", slot)
		}
		seen[slot] = true
		if c, err := open(names[i]); err != nil || c.Slot != slot {
			t.Errorf("cluster %s has recorded slot %d (%v), want %d", names[i], c.Slot, err, slot)
		}
	}
}

func TestRecordedSlotsOfBrokenState(t *testing.T) {
	base := t.TempDir()
	t.Setenv("PROCMAN_LOCALCLUSTER_DIR", base)
	if err := os.Mkdir(filepath.Join(base, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "a", "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recordedSlots(); err == nil {
		t.Error("a cluster with a broken state file was ignored")
	}
}

func TestOverlaps(t *testing.T) {
	address := func(s string) []net.Addr {
		ip, subnet, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return []net.Addr{&net.IPNet{IP: ip, Mask: subnet.Mask}}
	}
	c := &cluster{state: state{Slot: 5}}
	for s, want := range map[string]bool{
		"10.213.5.1/30": true, "10.213.5.77/24": true, "10.213.6.1/30": false, "10.0.0.4/8": false, "::1/128": false,
	} {
		if got := c.overlaps(address(s)); got != want {
			t.Errorf("with %s: %v, want %v", s, got, want)
		}
	}
}
