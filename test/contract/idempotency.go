// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// testIdempotency: one key is one process.
func (s *suite) testIdempotency(t *testing.T) {
	const reused = `{"errorCode":"IdempotencyKeyReused","errorDetails":{"in":"header","at":"Idempotency-Key"}}`
	t.Run("the same again", func(t *testing.T) {
		key := uniqueKey(t)
		first := s.post(t, `{"input":{"any":1.0}}`, [2]string{"Idempotency-Key", key})
		if first.status != 200 {
			t.Fatalf("status %d: %s", first.status, first.body)
		}
		quoted := `"` + key + `"`
		again := s.post(t, `{ "input" : {"any":1.0} }`, [2]string{"Idempotency-Key", quoted})
		want(t, again, 200, string(first.body))
		s.finish(t, first.ProcessID)
		want(t, s.post(t, `{"input":{"any":1.0}}`, [2]string{"Idempotency-Key", key}), 200, string(first.body))
		want(t, s.post(t, `{"input":{"any":1}}`, [2]string{"Idempotency-Key", key}), 422, reused)
		other := s.do(t, http.MethodPost, "/v1/processes/"+briefName, strings.NewReader(`{"input":{"any":1.0}}`), header{{"Idempotency-Key", key}})
		if other.status != 200 || other.ProcessID == first.ProcessID {
			t.Errorf("the same key with another type: status %d: %s", other.status, other.body)
		}
	})
	t.Run("after DELETE", func(t *testing.T) {
		key := uniqueKey(t)
		first := s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key})
		want(t, s.do(t, http.MethodDelete, path(first.ProcessID), nil, nil), 204, "")
		eventually(t, "all replicas know", func() bool { return s.get(t, path(first.ProcessID)).status == 404 })
		want(t, s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key}), 422, reused)
	})
	t.Run("after expiry", func(t *testing.T) {
		key := uniqueKey(t)
		brief := func() answer {
			return s.do(t, http.MethodPost, "/v1/processes/"+briefName, strings.NewReader(`{"input":{}}`), header{{"Idempotency-Key", key}})
		}
		first := brief()
		eventually(t, "the key is free again", func() bool { return brief().ProcessID != first.ProcessID })
		want(t, s.get(t, "/v1/processes/"+briefName+"/"+first.ProcessID), 410, expired)
	})
	t.Run("wrong keys", func(t *testing.T) {
		for _, key := range []string{"", `"`, `"open`, `"a"b`, `""`, "é", strings.Repeat("x", 256)} {
			a := s.post(t, `{"input":{}}`, [2]string{"Idempotency-Key", key})
			want(t, a, 480, `{"errorCode":"InvalidInput","errorDetails":{"in":"header","at":"Idempotency-Key","expected":{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]+$"}}}`)
		}
	})
}

// testIdempotencyConcurrent: 32 requests at once, to all replicas, are one process.
func (s *suite) testIdempotencyConcurrent(t *testing.T) {
	for range 4 {
		key := uniqueKey(t)
		ids := make([]string, 32)
		var all sync.WaitGroup
		for i := range ids {
			request := s.request(t, s.Replicas[i%len(s.Replicas)], http.MethodPost, "/v1/processes/"+typeName, strings.NewReader(`{"input":{"any":"`+key+`"}}`), header{{"Idempotency-Key", key}})
			all.Go(func() {
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = response.Body.Close() }()
				var p process
				if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != 200 {
					t.Errorf("status %d, %v, %+v", response.StatusCode, err, p)
				}
				ids[i] = p.ProcessID
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("two ids: %s and %s", ids[0], id)
			}
		}
		s.finish(t, ids[0])
		count := 0
		for _, item := range s.listAll(t, "include=input") {
			if strings.Contains(string(item.Input), key) {
				count++
			}
		}
		if count != 1 {
			t.Errorf("there are %d processes, want 1", count)
		}
	}
}
