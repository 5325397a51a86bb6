output "millrace" {
  description = "Everything that the stack says about itself."
  value       = module.millrace
}
