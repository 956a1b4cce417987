package s3

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/minio/minio-go/v7"
)

// answer is a kind of error response of a storage service, by its code, its HTTP status
// or its message. Services other than AWS use general codes (AccessDenied,
// InvalidRequest) and explain the error in the message, so that messages are compared
// before codes.
type answer struct {
	cause  string
	codes  []string
	status int
	words  *regexp.Regexp
}

// answers are tried in order. Sources: AWS "Error responses" of the S3 API; MinIO
// cmd/api-errors.go; Backblaze B2 "Caps & Alerts"; Cloudflare R2 "S3 API
// compatibility".
var answers = []answer{
	{"publish.clock-skew", []string{"RequestTimeTooSkewed"}, 0, regexp.MustCompile(`(?i)difference between the request time|request time .*(skew|too far)`)},
	{"publish.expired", []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}, 0, regexp.MustCompile(`(?i)(token|credentials?|session).{0,40}\bexpired|\bexpired\b.{0,40}(token|credential|session)`)},
	{"publish.no-space", []string{"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "StorageFull"}, http.StatusInsufficientStorage, regexp.MustCompile(`(?i)storage cap|\bquota\b|\bcaps?\b.{0,20}exceeded|insufficient (storage|space)|storage .{0,20}(is )?full|no space left`)},
	{"publish.region", []string{"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "InvalidRegion", "InvalidLocationConstraint"}, http.StatusMovedPermanently, regexp.MustCompile(`(?i)the region '\S+' is wrong|region does not match|must be addressed using the specified endpoint`)},
	{"publish.no-conditions", []string{"NotImplemented"}, http.StatusNotImplemented, regexp.MustCompile(`(?i)\bIf-(None-)?Match\b|conditional (write|request|put)s?.{0,30}not (supported|implemented)`)},
	{"publish.path-style", nil, 0, regexp.MustCompile(`(?i)virtual[- ]host|path[- ]style`)},
	{"publish.no-checksums", nil, 0, regexp.MustCompile(`(?i)(unsupported|not supported|unknown).{0,40}checksum|checksum.{0,60}(unsupported|not supported|not implemented)`)},
	{"publish.scheme", nil, 0, regexp.MustCompile(`(?i)HTTP request (was sent )?to (an )?HTTPS (server|port)|HTTP response to HTTPS client|first record does not look like a TLS handshake`)},
	{"publish.not-s3", nil, 0, regexp.MustCompile(`(?i)<!doctype html|<html\b|but have <\w+>|XML syntax error`)},
	{"publish.account", []string{"AccountProblem", "AllAccessDisabled", "NotSignedUp", "InvalidPayer", "UserSuspended"}, 0, regexp.MustCompile(`(?i)problem with your account|account .{0,30}(suspended|disabled|not active)`)},
	{"publish.credentials", []string{"InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"}, http.StatusUnauthorized, nil},
	{"publish.not-allowed", []string{"AccessDenied", "AllAccessDenied", "UnauthorizedAccess"}, http.StatusForbidden, nil},
	{"publish.no-bucket", []string{minio.NoSuchBucket}, 0, nil},
}

// causeOf returns the cause of an error response of the storage; "" for another error.
func causeOf(err error) string {
	if err == nil {
		return ""
	}
	resp := minio.ToErrorResponse(err)
	text := resp.Message + "\n" + err.Error()
	for _, a := range answers {
		if resp.Code != "" && slices.Contains(a.codes, resp.Code) || a.status != 0 && resp.StatusCode == a.status || a.words != nil && a.words.MatchString(text) {
			return a.cause
		}
	}
	return ""
}
