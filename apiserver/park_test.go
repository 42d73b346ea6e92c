package apiserver_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lot is a facade with a process called "mine", and one connection to it.
type lot struct {
	*facade
	conn   net.Conn
	reader *bufio.Reader
}

func newLot(t *testing.T) *lot {
	l := &lot{facade: newFacade(t)}
	l.known("mine", unchanged)
	var err error
	if l.conn, err = net.Dial("tcp", strings.TrimPrefix(l.url, "http://")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close() })
	if err := l.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	l.reader = bufio.NewReader(l.conn)
	return l
}

// send sends requests for the process, one after the other at once. Each is a
// method and header lines.
func (l *lot) send(requests ...string) {
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

// answer reads a response to a request with a method, and holds it against
// openapi.yaml.
func (l *lot) answer(method string) (got *http.Response, body string) {
	l.Helper()
	request, err := http.NewRequestWithContext(l.Context(), method, l.url+"/v1/processes/echo/mine", nil)
	if err != nil {
		l.Fatal(err)
	}
	got, err = http.ReadResponse(l.reader, request)
	if err != nil {
		l.Fatal(err)
	}
	data, err := io.ReadAll(got.Body)
	if err != nil {
		l.Fatal(err)
	}
	_ = got.Body.Close()
	if err := checker().Check(request, got, data); err != nil {
		l.Errorf("status %d is not as openapi.yaml says: %v\n%s", got.StatusCode, err, data)
	}
	return got, string(data)
}

// ended says whether the server closes the connection.
func (l *lot) ended() bool {
	_, err := l.reader.ReadByte()
	return errors.Is(err, io.EOF)
}

const wait = "GET Prefer: wait=30\r\n"

// A connection on which a client has waited is as good as any.
func TestConnectionGoesOnAfterWait(t *testing.T) {
	l := newLot(t)
	for range 3 {
		l.known("mine", unchanged)
		l.send(wait)
		l.timers(1)
		l.known("mine", finished)
		response, body := l.answer("GET")
		if response.StatusCode != 200 || response.Close || !strings.Contains(body, `"complete"`) ||
			response.Header.Get("Preference-Applied") != "wait=30" || response.Header.Get("ETag") == "" || response.Header.Get("Date") == "" {
			t.Fatalf("status %d, %v: %s", response.StatusCode, response.Header, body)
		}
		l.timers(0)
		l.send("GET ")
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
		l.send(wait, "HEAD ", wait, "PUT ")
		l.timers(1)
		l.known("mine", finished)
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
		l.send(wait)
		l.timers(1)
		l.send("GET ", "HEAD ")
		l.known("mine", finished)
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
		l.send("HEAD Prefer: wait=30\r\n")
		l.timers(1)
		l.known("mine", finished)
		response, _ := l.answer("HEAD")
		l.send("GET ")
		if _, body := l.answer("GET"); response.ContentLength != int64(len(body)) {
			t.Errorf("HEAD says %d bytes, GET has %d", response.ContentLength, len(body))
		}
	})
	t.Run("not modified", func(t *testing.T) {
		l := newLot(t)
		l.send("GET ")
		first, _ := l.answer("GET")
		l.send("GET Prefer: wait=1\r\nIf-None-Match: " + first.Header.Get("ETag") + "\r\n")
		l.timers(1)
		l.clock.Step(time.Second)
		if response, body := l.answer("GET"); response.StatusCode != 304 || body != "" || response.Close {
			t.Errorf("status %d, close %t: %s", response.StatusCode, response.Close, body)
		}
	})
	t.Run("a client that wants no more", func(t *testing.T) {
		l := newLot(t)
		l.send("GET Connection: close\r\nPrefer: wait=30\r\n")
		l.timers(1)
		l.known("mine", finished)
		if response, _ := l.answer("GET"); !response.Close || !l.ended() {
			t.Error("the connection stays open")
		}
	})
	t.Run("deleted meanwhile", func(t *testing.T) {
		l := newLot(t)
		l.send(wait)
		l.timers(1)
		l.gone("mine")
		if response, body := l.answer("GET"); response.StatusCode != 404 || body != `{"errorCode":"ResourceNotFound"}` || response.Header.Get("ETag") != "" {
			t.Errorf("status %d, %v: %s", response.StatusCode, response.Header, body)
		}
	})
}

// A client that closes its side of the connection may still read: it is answered at
// once, as things stand.
func TestHalfClosedWhileWaiting(t *testing.T) {
	for request, timers := range map[string]int{
		"GET ": 0, wait: 1, "GET Prefer: wait=30\r\nIf-None-Match: \"x\"\r\n": 1, "GET Accept: text/event-stream\r\n": 2,
	} {
		t.Run(request, func(t *testing.T) {
			l := newLot(t)
			l.send(request)
			l.timers(timers)
			if err := l.conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			response, body := l.answer("GET")
			if response.StatusCode != 200 || !strings.Contains(body, mineProcessing) || !l.ended() {
				t.Errorf("status %d: %s", response.StatusCode, body)
			}
			if applied, want := response.Header.Get("Preference-Applied"), map[bool]string{true: "wait=30"}[timers == 1]; applied != want {
				t.Errorf("Preference-Applied is %q, want %q", applied, want)
			}
			if l.server.Wait(); l.watched() != 0 {
				t.Errorf("%d watches left", l.watched())
			}
		})
	}
}

// A client that leaves is forgotten at once; a drain answers those who stay and
// ends their connections.
func TestWaitersLeaveAndAreDrained(t *testing.T) {
	l := newLot(t)
	l.send(wait)
	l.timers(1)
	_ = l.conn.Close()
	l.timers(0)
	l.server.Wait()

	for request, timers := range map[string]int{wait: 1, "GET Accept: text/event-stream\r\n": 2} {
		l := newLot(t)
		l.send(request)
		l.timers(timers)
		l.server.Drain()
		if response, body := l.answer("GET"); response.StatusCode != 200 || !strings.Contains(body, `"processing"`) || !l.ended() {
			t.Errorf("status %d: %s", response.StatusCode, body)
		}
		l.server.Wait()
	}
}
