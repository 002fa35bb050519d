output "service_id" {
  value = fastly_service_compute.edge.id
}

output "push_target" {
  description = "For `personalizer push rules --to …`."
  value       = "fastly:${fastly_configstore.personalizer.id}"
}

output "kv_store_rules" {
  description = "For `personalizer push --kv-store …`."
  value       = fastly_kvstore.rules.id
}

output "secret_store" {
  description = "For `fastly secret-store-entry create --store-id …`."
  value       = fastly_secretstore.personalizer.id
}
