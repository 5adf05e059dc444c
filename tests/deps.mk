# What the project needs from Debian: the packages are listed, and installed, by tests/deps.sh.
# The stamp only spares asking again; objects depend on it by order.
DEPS_STAMP := $(B)/.deps

$(DEPS_STAMP): tests/deps.sh
	@tests/deps.sh build
	@mkdir -p $(@D)
	@touch $@
