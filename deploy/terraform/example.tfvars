domains = ["www.example.com"]
log_url = "https://logs.example.com/edge"
backends = {
  origin = { host = "origin.example.com" }
  # A body that stalls costs the visitor this once (docs/SESSIONS.md).
  session_api = { host = "sessions.example.com", first_byte_timeout = 1000, between_bytes_timeout = 100 }
}
