// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests. The values of each label come from a closed set: the routes,
// the methods of HTTP, and the statuses of the table of errors.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	alias    *prometheus.CounterVec
	waiting  prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "procman_http_requests_total",
			Help: "Requests served, by route, method and status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "procman_http_request_duration_seconds",
			Help:    "Duration of requests, by route and method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method"}),
		alias: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "procman_http_deprecated_requests_total",
			Help: "Requests to the deprecated alias /v4, by route and method.",
		}, []string{"route", "method"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "procman_http_waiting_requests",
			Help: "Requests that wait for a change of a process: Prefer: wait, and event streams.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.alias, m.waiting} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// count counts a request that is served.
func (m *metrics) count(method string, l *requestLog, elapsed time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	route := cmp.Or(l.route, "none")
	m.requests.WithLabelValues(route, method, strconv.Itoa(l.status)).Inc()
	m.duration.WithLabelValues(route, method).Observe(elapsed.Seconds())
	if l.deprecated {
		m.alias.WithLabelValues(route, method).Inc()
	}
}
