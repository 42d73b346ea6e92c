package apiserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/apiserver/keyring"
	"procman.dev/procman/apiserver/processid"
)

// lot is a facade behind a real server, with a process called "mine" that has yet
// to finish, and one connection to it.
type lot struct {
	*testing.T
	facade *Server
	server *server
	conn   net.Conn
	reader *bufio.Reader
}

func newLot(t *testing.T) *lot {
	ring, err := processid.NewRing(make([]byte, processid.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	types := NewTypes()
	types.OnAdd(&v1alpha1.ProcessType{ObjectMeta: metav1.ObjectMeta{Name: "echo"}}, false)
	f, err := New(Options{Namespace: "work", Cache: NewCache(), Live: noCluster{}, Types: types, Ring: keyring.Fixed(ring)})
	if err != nil {
		t.Fatal(err)
	}
	l := &lot{T: t, facade: f}
	l.becomes(v1alpha1.StateProcessing)
	l.server, _ = start(t, f)
	if l.conn, err = net.Dial("tcp", l.server.listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close() })
	if err := l.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	l.reader = bufio.NewReader(l.conn)
	return l
}

// becomes gives the process a state.
func (l *lot) becomes(state v1alpha1.State) {
	l.facade.cache.OnAdd(&v1alpha1.Process{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", CreationTimestamp: metav1.Now()},
		Spec:       v1alpha1.ProcessSpec{Type: "echo", LifetimeSeconds: 600, Input: `{}`},
		Status:     v1alpha1.ProcessStatus{State: state, Output: `{}`},
	}, false)
}

// ask sends requests for the process, one after the other at once.
func (l *lot) ask(requests ...string) {
	l.Helper()
	text := ""
	for _, r := range requests {
		method, header, _ := strings.Cut(r, " ")
		text += method + " /v1/processes/echo/mine HTTP/1.1\r\nHost: a\r\n" + header + "\r\n"
	}
	if _, err := io.WriteString(l.conn, text); err != nil {
		l.Fatal(err)
	}
}

// watched waits until so many wait for the process.
func (l *lot) watched(n int) {
	l.Helper()
	for start := time.Now(); ; {
		l.facade.cache.mu.RLock()
		got := len(l.facade.cache.watches["mine"])
		l.facade.cache.mu.RUnlock()
		if got == n {
			return
		}
		if time.Since(start) > time.Minute {
			l.Fatalf("%d wait, want %d", got, n)
		}
		<-time.After(time.Millisecond)
	}
}

// answer reads a response to a request with a method.
func (l *lot) answer(method string) (response *http.Response, body string) {
	l.Helper()
	response, err := http.ReadResponse(l.reader, &http.Request{Method: method})
	if err != nil {
		l.Fatal(err)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		l.Fatal(err)
	}
	_ = response.Body.Close()
	return response, string(data)
}

// ended says whether the server closes the connection.
func (l *lot) ended() bool {
	_, err := l.reader.ReadByte()
	return err == io.EOF
}

const wait = "GET Prefer: wait=30\r\n"

// A connection on which a client has waited is as good as any.
func TestConnectionGoesOnAfterWait(t *testing.T) {
	l := newLot(t)
	for range 3 {
		l.becomes(v1alpha1.StateProcessing)
		l.ask(wait)
		l.watched(1)
		l.becomes(v1alpha1.StateComplete)
		response, body := l.answer("GET")
		if response.StatusCode != 200 || response.Close || !strings.Contains(body, `"complete"`) ||
			response.Header.Get("Preference-Applied") != "wait=30" || response.Header.Get("ETag") == "" || response.Header.Get("Date") == "" {
			t.Fatalf("status %d, %v: %s", response.StatusCode, response.Header, body)
		}
		l.watched(0)
		l.ask("GET ")
		if response, body := l.answer("GET"); response.StatusCode != 200 || !strings.Contains(body, `"complete"`) {
			t.Fatalf("after the wait: status %d: %s", response.StatusCode, body)
		}
	}
}

// What a client sends while it waits is its next request; none is lost, and they
// are answered in their order.
func TestRequestsSentWhileWaiting(t *testing.T) {
	t.Run("with the wait", func(t *testing.T) {
		l := newLot(t)
		l.ask(wait, "HEAD ", wait, "PUT ")
		l.watched(1)
		l.becomes(v1alpha1.StateComplete)
		for _, want := range []struct {
			method string
			status int
		}{{"GET", 200}, {"HEAD", 200}, {"GET", 200}, {"PUT", 405}} {
			if response, _ := l.answer(want.method); response.StatusCode != want.status {
				t.Errorf("%s: status %d, want %d", want.method, response.StatusCode, want.status)
			}
		}
	})
	t.Run("after it", func(t *testing.T) {
		l := newLot(t)
		l.ask(wait)
		l.watched(1)
		l.ask("GET ", "HEAD ")
		l.becomes(v1alpha1.StateComplete)
		for _, method := range []string{"GET", "GET", "HEAD"} {
			if response, _ := l.answer(method); response.StatusCode != 200 {
				t.Errorf("%s: status %d", method, response.StatusCode)
			}
		}
	})
}

// The answer to a wait has the form of any other.
func TestFormOfAnswerAfterWait(t *testing.T) {
	t.Run("HEAD", func(t *testing.T) {
		l := newLot(t)
		l.ask("HEAD Prefer: wait=30\r\n")
		l.watched(1)
		l.becomes(v1alpha1.StateComplete)
		response, _ := l.answer("HEAD")
		l.ask("GET ")
		if _, body := l.answer("GET"); response.ContentLength != int64(len(body)) {
			t.Errorf("HEAD says %d bytes, GET has %d", response.ContentLength, len(body))
		}
	})
	t.Run("not modified", func(t *testing.T) {
		l := newLot(t)
		l.ask("GET ")
		first, _ := l.answer("GET")
		l.ask("GET Prefer: wait=1\r\nIf-None-Match: " + first.Header.Get("ETag") + "\r\n")
		if response, body := l.answer("GET"); response.StatusCode != 304 || body != "" || response.Close {
			t.Errorf("status %d, close %t: %s", response.StatusCode, response.Close, body)
		}
	})
	t.Run("a client that wants no more", func(t *testing.T) {
		l := newLot(t)
		l.ask("GET Connection: close\r\nPrefer: wait=30\r\n")
		l.watched(1)
		l.becomes(v1alpha1.StateComplete)
		if response, _ := l.answer("GET"); !response.Close || !l.ended() {
			t.Error("the connection stays open")
		}
	})
	t.Run("deleted meanwhile", func(t *testing.T) {
		l := newLot(t)
		l.ask(wait)
		l.watched(1)
		l.facade.cache.OnDelete(l.facade.cache.byName["mine"])
		if response, body := l.answer("GET"); response.StatusCode != 404 || body != `{"errorCode":"ResourceNotFound"}` || response.Header.Get("ETag") != "" {
			t.Errorf("status %d, %v: %s", response.StatusCode, response.Header, body)
		}
	})
}

// A client that leaves is forgotten at once; a drain answers those who stay and
// ends their connections.
func TestWaitersLeaveAndAreDrained(t *testing.T) {
	l := newLot(t)
	l.ask(wait)
	l.watched(1)
	_ = l.conn.Close()
	l.watched(0)
	l.facade.Wait()

	for _, request := range []string{wait, "GET Accept: text/event-stream\r\n"} {
		l := newLot(t)
		l.ask(request)
		l.watched(1)
		l.facade.Drain()
		if response, body := l.answer("GET"); response.StatusCode != 200 || !strings.Contains(body, `"processing"`) || !l.ended() {
			t.Errorf("status %d: %s", response.StatusCode, body)
		}
		l.facade.Wait()
	}
}
