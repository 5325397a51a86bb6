plugin "terraform" {
  enabled = true
  preset  = "all"
}

# locals.tf and outputs.tf of the root hold what the layout of each module holds.
rule "terraform_standard_module_structure" {
  enabled = false
}
