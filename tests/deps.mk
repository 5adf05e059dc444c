# What the project needs from Debian; filled by tests/deps.sh.
DEPS_STAMP :=
