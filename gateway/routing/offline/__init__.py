"""Training, measuring and calibrating the classifier. numpy and scikit-learn live here; `serve` never imports this."""
