"""What the rendered manifests must keep: kube-score's, kube-linter's and Polaris' checks as far as
they concern us, and those of this service. Each names changes that it must not let pass.
"""
