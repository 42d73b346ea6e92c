package apiserver

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limit is how many requests one client may make.
type Limit struct {
	// PerSecond is how many requests a second a client may make in the long run;
	// there is no limit when it is 0.
	PerSecond float64
	// Burst is how many it may make at once; at least 1.
	Burst int
	// AddressHeader names the header in which a trusted proxy gives the client's
	// address, such as X-Forwarded-For; its last address counts. When empty, the
	// client is who made the connection.
	AddressHeader string
}

// limitedClients bounds how many clients are remembered. Who has been forgotten
// begins anew, with a full burst.
const limitedClients = 1 << 16

// limiter holds each client to a Limit.
type limiter struct {
	Limit
	clients *lru.Cache // address → *rate.Limiter
}

func newLimiter(l Limit) *limiter {
	if l.PerSecond <= 0 {
		return nil
	}
	return &limiter{Limit: l, clients: lru.New(limitedClients)}
}

// refuse returns the failure of a request that is over its client's limit at now,
// nil of any other.
func (l *limiter) refuse(r *http.Request, now time.Time) error {
	if l == nil {
		return nil
	}
	client := l.client(r)
	bucket, ok := l.clients.Get(client)
	if !ok { // two at once make two buckets, of which one stays: no harm
		bucket = rate.NewLimiter(rate.Limit(l.PerSecond), max(l.Burst, 1))
		l.clients.Add(client, bucket)
	}
	reservation := bucket.(*rate.Limiter).ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return tooManyRequests.failure().with("Retry-After", strconv.Itoa(int(math.Ceil(delay.Seconds()))))
}

// client is who makes a request: an address or, since one host has many of them,
// the /64 of an IPv6 address.
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
