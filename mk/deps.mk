# SPDX-License-Identifier: Apache-2.0
# The Debian packages each part of the project needs: installed by tools/deps, once, before the part that needs them.

## make deps        install every package the project uses (the other targets install what they need)
.PHONY: deps
deps:
	@tools/deps build images disk lab test

.PRECIOUS: $(BUILD)/deps-%.ok
$(BUILD)/deps-%.ok: tools/deps
	@tools/deps $*
	@mkdir -p $(@D) && touch $@

$(BUILD)/deps.ok: $(BUILD)/deps-build.ok
	@touch $@
