// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// The labels of the metrics of a type: namespace and name of a registered type.
var labels = []string{"namespace", "type"}

var (
	queuedGauge = prometheus.NewDesc("procman_processes_queued",
		"Number of processes that have no Job yet: they wait for a slot of maxConcurrent, for their type, or for their Job.", labels, nil)
	runningGauge = prometheus.NewDesc("procman_processes_running",
		"Number of processes that have a Job and are not terminal.", labels, nil)
	startingGauge = prometheus.NewDesc("procman_processes_starting",
		"Number of admitted processes with a place in the launch window: their agent has not asked for its input.", nil, nil)
	windowGauge = prometheus.NewDesc("procman_launch_window",
		"Number of processes that may start at the same time; 0 means no limit.", nil, nil)
)

func newWaits() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "procman_queue_wait_seconds",
		Help:    "Time from the creation of a process until it is admitted, with a precision of one second.",
		Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 14400, 86400},
	}, labels)
}

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	ch <- queuedGauge
	ch <- runningGauge
	ch <- startingGauge
	ch <- windowGauge
	l.waits.Describe(ch)
}

// Collect implements prometheus.Collector. Only registered types have series: the
// type in a Process can be any name.
func (l *Ledger) Collect(ch chan<- prometheus.Metric) {
	for _, gauge := range l.gauges() {
		ch <- gauge
	}
	l.waits.Collect(ch)
}

func (l *Ledger) gauges() []prometheus.Metric {
	l.mu.Lock()
	defer l.mu.Unlock()
	gauges := []prometheus.Metric{
		prometheus.MustNewConstMetric(startingGauge, prometheus.GaugeValue, float64(len(l.starting))),
		prometheus.MustNewConstMetric(windowGauge, prometheus.GaugeValue, math.Floor(l.window.size)),
	}
	for key, t := range l.types {
		if !t.registered {
			continue
		}
		c := t.counts()
		gauges = append(gauges,
			prometheus.MustNewConstMetric(queuedGauge, prometheus.GaugeValue, float64(c.Queued), key.Namespace, key.Name),
			prometheus.MustNewConstMetric(runningGauge, prometheus.GaugeValue, float64(c.Running), key.Namespace, key.Name))
	}
	return gauges
}
