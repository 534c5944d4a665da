"""What an operator copies; as package data, the grants of the service, which `orderstream doctor` compares with."""
