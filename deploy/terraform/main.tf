# The service, its stores and its log endpoints. What is in the stores is not Terraform's: rules come by `personalizer push`, sessions
# by the feed, secrets by `personalizer secrets new`. So a `terraform apply` never takes a rule back.
terraform {
  required_version = ">= 1.5"
  required_providers {
    fastly = {
      source  = "fastly/fastly"
      version = ">= 5.13, < 9.0"
    }
  }
}

# The API token comes from the environment variable FASTLY_API_KEY.
provider "fastly" {}

locals {
  # Log endpoints that the service writes to (docs/LOGS.md).
  log_endpoints = toset(["decisions", "exposures", "errors", "conversions"])
}

resource "fastly_configstore" "personalizer" {
  name = "${var.name}-personalizer"
}

resource "fastly_secretstore" "personalizer" {
  name = "${var.name}-personalizer"
}

resource "fastly_kvstore" "sessions" {
  name = "${var.name}-sessions"
}

resource "fastly_kvstore" "rules" {
  name = "${var.name}-rules"
}

data "fastly_package_hash" "service" {
  filename = var.package
}

resource "fastly_service_compute" "edge" {
  name          = var.name
  force_destroy = false

  package {
    filename         = var.package
    source_code_hash = data.fastly_package_hash.service.hash
  }

  dynamic "domain" {
    for_each = var.domains
    content {
      name = domain.value
    }
  }

  dynamic "backend" {
    for_each = var.backends
    content {
      name                  = backend.key
      address               = backend.value.host
      port                  = backend.value.port
      override_host         = backend.value.host
      ssl_cert_hostname     = backend.value.host
      ssl_sni_hostname      = backend.value.host
      use_ssl               = true
      connect_timeout       = backend.value.connect_timeout
      first_byte_timeout    = backend.value.first_byte_timeout
      between_bytes_timeout = backend.value.between_bytes_timeout
    }
  }

  # The service opens its stores by the names of these links (fastly.toml has the same names).
  resource_link {
    name        = "personalizer"
    resource_id = fastly_configstore.personalizer.id
  }

  resource_link {
    name        = "personalizer"
    resource_id = fastly_secretstore.personalizer.id
  }

  resource_link {
    name        = "sessions"
    resource_id = fastly_kvstore.sessions.id
  }

  resource_link {
    name        = "rules"
    resource_id = fastly_kvstore.rules.id
  }

  dynamic "logging_https" {
    for_each = local.log_endpoints
    content {
      name         = logging_https.value
      url          = "${var.log_url}/${logging_https.value}"
      content_type = "application/x-ndjson"
      method       = "POST"
    }
  }
}
