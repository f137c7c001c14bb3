# Pictures of the dashboard into docs/.

.PHONY: screenshots
screenshots: build $(NGINX)
	@mk/packages $(PACKAGES_TEST) $(PACKAGES_CLIENTS)
	$(SUBMAKE) $(CLOUD) $(BUILD)/frames
	@PATH=$$PATH:/usr/sbin t/tools/screenshots docs
