variable "name" {
  description = "Name of the service, and start of the names of its stores: a store's name counts for the whole account."
  type        = string
  default     = "edge-personalizer"
}

variable "domains" {
  description = "Host names that the service answers."
  type        = set(string)

  validation {
    condition     = length(var.domains) > 0
    error_message = "Expected a domain, but found none."
  }
}

variable "package" {
  description = "The built service: `fastly compute build` makes it, a release has it."
  type        = string
  default     = "../../pkg/edge-personalizer.tar.gz"
}

variable "backends" {
  description = "Your site, and the central source of sessions. `origin` is needed. Times are in milliseconds."
  type = map(object({
    host                  = string
    port                  = optional(number, 443)
    connect_timeout       = optional(number, 1000)
    first_byte_timeout    = optional(number, 15000)
    between_bytes_timeout = optional(number, 10000)
  }))

  validation {
    condition     = contains(keys(var.backends), "origin")
    error_message = "Expected a backend called origin, but found none."
  }
}

variable "log_url" {
  description = "Where log lines go by HTTPS; /decisions, /exposures, /errors and /conversions are put after it. Another provider: change the block logging_https."
  type        = string

  validation {
    condition     = startswith(var.log_url, "https://")
    error_message = "Expected a URL that starts with https://."
  }
}
