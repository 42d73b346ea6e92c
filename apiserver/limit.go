// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limit bounds how many requests one client makes.
type Limit struct {
	// PerSecond is the average number of requests in a second. 0 means no bound.
	PerSecond float64
	// Burst is the number of requests at once, 1 or more.
	Burst int
	// AddressHeader is the header in which a trusted proxy sends the client's address,
	// such as X-Forwarded-For; the last address counts. By default, the address of the
	// connection counts.
	AddressHeader string
}

// limitedClients bounds how many clients are remembered. A forgotten client starts again
// with a full burst.
const limitedClients = 1 << 16

// limiter applies a Limit to each client.
type limiter struct {
	Limit
	clients *lru.Cache // *rate.Limiter by address
}

func newLimiter(l Limit) *limiter {
	if l.PerSecond <= 0 {
		return nil
	}
	return &limiter{Limit: l, clients: lru.New(limitedClients)}
}

// limitClients refuses the requests of a client that exceeds the limit.
func (s *Server) limitClients(next http.Handler) http.Handler {
	if s.limiter == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if delay := s.limiter.delay(r, s.clock.Now()); delay > 0 {
			s.fail(w, r, busy(delay))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// delay returns after how many whole seconds a client may make a request; 0 if it may
// make it now.
func (l *limiter) delay(r *http.Request, now time.Time) time.Duration {
	client := l.client(r)
	bucket, ok := l.clients.Get(client)
	if !ok { // two requests at once make two buckets, of which one stays
		bucket = rate.NewLimiter(rate.Limit(l.PerSecond), max(l.Burst, 1))
		l.clients.Add(client, bucket)
	}
	reservation := bucket.(*rate.Limiter).ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay > 0 {
		reservation.CancelAt(now)
	}
	return time.Duration(math.Ceil(delay.Seconds())) * time.Second
}

// client returns the address of the client. For IPv6 it is the /64, because one host has
// many addresses.
func (l *limiter) client(r *http.Request) string {
	address := r.RemoteAddr
	if values := r.Header.Values(l.AddressHeader); l.AddressHeader != "" && len(values) > 0 {
		last := values[len(values)-1]
		address = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		ip = withPort.Addr()
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}
