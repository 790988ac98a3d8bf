// What one would write in Go instead: the same checks of the same upload, and
// no more.  peer <address> <token>

package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"
)

const maxBody = 128 << 10

type upload struct {
	Name    string `json:"name"`
	Content string `json:"content"`
	Key     string `json:"key"`
}

type certificate struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Content    string `json:"content"`
	Key        string `json:"key"`
	Timestamp  int64  `json:"timestamp"`
	ExpireTime int64  `json:"expire_time"`
	CertType   string `json:"cert_type"`
}

type store struct {
	sync.Mutex
	byID   map[string]*certificate
	byName map[string]*certificate
}

var (
	route = regexp.MustCompile(
		`^/v1/([A-Za-z0-9_-]{1,64})/waf/certificate/?$`)
	name  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)
	certs = store{
		byID:   make(map[string]*certificate),
		byName: make(map[string]*certificate),
	}
)

func (s *store) add(project string, c *certificate) bool {
	s.Lock()
	defer s.Unlock()

	name := project + "/" + c.Name
	if _, ok := s.byName[name]; ok {
		return false
	}

	s.byName[name] = c
	s.byID[c.ID] = c

	return true
}

func certType(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC-" + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "ED25519"
	}
	return ""
}

func refuse(w http.ResponseWriter, status int, code, msg string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{
		"error_code": code, "error_msg": msg})
}

func create(w http.ResponseWriter, r *http.Request, token []byte) {
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method != http.MethodPost {
		refuse(w, 404, "WAF.00014009", "api.not.found")
		return
	}

	got := []byte(r.Header.Get("X-Auth-Token"))
	if subtle.ConstantTimeCompare(got, token) != 1 {
		refuse(w, 401, "WAF.00012001", "invalid.token")
		return
	}

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, 413, "WAF.00011003", "request.body.illegal")
		return
	}

	var u upload
	if err := json.Unmarshal(body, &u); err != nil {
		refuse(w, 400, "WAF.00011003", "request.body.illegal")
		return
	}

	if !name.MatchString(u.Name) {
		refuse(w, 400, "WAF.00011005", "name.illegal")
		return
	}

	pair, err := tls.X509KeyPair([]byte(u.Content), []byte(u.Key))
	if err != nil {
		refuse(w, 400, "WAF.00021013", "cert.illegal: "+err.Error())
		return
	}

	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		refuse(w, 400, "WAF.00021013", "cert.illegal: "+err.Error())
		return
	}

	for i, der := range pair.Certificate[1:] {
		issuer, err := x509.ParseCertificate(der)
		if err == nil && i == 0 {
			err = leaf.CheckSignatureFrom(issuer)
		}
		if err != nil {
			refuse(w, 400, "WAF.00021013", "cert.illegal: "+err.Error())
			return
		}
	}

	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		refuse(w, 500, "WAF.00010001", "internal.error")
		return
	}

	c := &certificate{
		ID:         hex.EncodeToString(id[:]),
		Name:       u.Name,
		Content:    u.Content,
		Key:        u.Key,
		Timestamp:  time.Now().UnixMilli(),
		ExpireTime: leaf.NotAfter.UnixMilli(),
		CertType:   certType(leaf.PublicKey),
	}

	if !certs.add(m[1], c) {
		refuse(w, 400, "WAF.00011016", "name.duplicate")
		return
	}

	answer, err := json.Marshal(c)
	if err != nil {
		refuse(w, 500, "WAF.00010001", "internal.error")
		return
	}

	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

func main() {
	token := []byte(os.Args[2])

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		create(w, r, token)
	})

	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
